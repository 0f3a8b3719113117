"""Bootstrap intervals by unit of any metric, of the difference of two models, and of many metrics at once."""
