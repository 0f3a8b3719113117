"""Simulated chest radiographs, the default source: what is shown, where, and how hard it is to see are known."""
