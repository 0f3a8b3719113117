"""What must stay together in a split: duplicates, near duplicates, and reviews of one film."""
