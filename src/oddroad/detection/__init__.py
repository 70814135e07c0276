"""From score maps to regions, tracks, pictures and lines: what ``oddroad detect`` does with a frame."""
