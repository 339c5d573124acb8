"""The ledger: which moves a message makes, by set. Below the services, since every stop is a move."""
