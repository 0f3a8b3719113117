"""From a bundle to answers: loading with its manifest checked, replaying golden inputs, an HTTP server."""
