"""Synthetic radiographs: a GAN learns to draw them, and two checks evaluate them."""
