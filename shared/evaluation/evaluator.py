"""A classifier beside its baselines, on all rows or on slices of them."""
