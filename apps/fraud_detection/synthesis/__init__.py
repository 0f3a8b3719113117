"""Synthetic transactions: a GAN that draws them, numbers as their quantiles, and whether rows are copies."""
