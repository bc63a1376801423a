"""How every experiment stands, for people and for programs."""
