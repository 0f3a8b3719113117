"""The behavioural suite: what a sentiment model should be able to do, tested by texts made for it."""
