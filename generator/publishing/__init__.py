"""Git, written: commits of exactly the files that were meant, on branches here and elsewhere."""
