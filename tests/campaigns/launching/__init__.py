"""What happens before and around the start of a campaign."""
