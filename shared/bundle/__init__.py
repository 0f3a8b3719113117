"""Serving bundles on disk: written and checked, with engines beside the SavedModel, and read again."""
