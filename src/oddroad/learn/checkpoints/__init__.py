"""Checkpoints of oddroad, and of others converted to them."""
