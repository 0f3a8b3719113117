"""The applications: one folder each, with the same file names. No app imports another."""
