"""Rendered drives with anomalies and exact labels."""
