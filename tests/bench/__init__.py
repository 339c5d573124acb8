"""How fast it is: ours and the other side in the same run, in turn, as a table and as JSON."""
