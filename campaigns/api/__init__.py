"""The API of campaigns, people and mail."""
