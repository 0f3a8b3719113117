"""A collection written in any of the formats that ``readers`` read."""
