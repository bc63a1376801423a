"""What a change does to users: two states compared by meaning, and said in words."""
