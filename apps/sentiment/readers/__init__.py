"""Reading reviews: recognise a source, stream its rows, check them, understand their labels."""
