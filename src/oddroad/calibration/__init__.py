"""Thresholds with a guaranteed false-alarm rate, from in-distribution data."""
