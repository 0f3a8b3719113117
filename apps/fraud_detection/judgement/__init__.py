"""From scores to findings, and from findings to the sections of the report."""
