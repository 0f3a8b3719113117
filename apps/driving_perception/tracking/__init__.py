"""Images and videos as clips: which frames belong together, when they were taken, and what moves through them."""
