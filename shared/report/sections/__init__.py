"""Report sections that several apps use."""
