"""Many experiments at once: what is fresh, what is built by whom, what two of them fight over, what is written."""
