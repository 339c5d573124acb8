"""Whether an address may be written to, told without asking its mail server. Pure: no Django, no models, no clock.

`receiving` asks DNS about a domain, `judging` puts that and the address itself into a verdict.
"""
