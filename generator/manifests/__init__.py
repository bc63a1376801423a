"""From an experiment to verified files: names, queries, what is planned, rendered and read back."""
