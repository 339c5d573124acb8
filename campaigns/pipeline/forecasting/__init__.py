"""When a campaign is done, and what will run short: a simulation on plain values, and what loads them."""
