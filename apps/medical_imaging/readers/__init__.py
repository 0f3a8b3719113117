"""From files of many layouts to entries: one image, its label, its patient."""
