"""The labels of a collection, as each format writes them."""
