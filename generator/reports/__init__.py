"""An experiment told on one page, from its evidence: as HTML with pictures, and as Markdown."""
