"""Synthetic radiographs: a GAN learns to draw them, and two checks say what they are worth."""
