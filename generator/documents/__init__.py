"""Files as data: strict YAML with places, overlays, schemas, and edits that keep every other byte."""
