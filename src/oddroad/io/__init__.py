"""Reading and writing: images, videos, result files. BGR exists only in here."""
