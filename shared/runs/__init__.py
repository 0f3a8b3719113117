"""Several run folders side by side: a list of them, and what differs between their figures and their settings."""
