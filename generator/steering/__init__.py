"""Steps, rollbacks and ends through Git: what is due, what it waits for, and the commit that takes it."""
