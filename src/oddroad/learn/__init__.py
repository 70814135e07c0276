"""The PyTorch half: networks, scores, losses, training, export. Only this package imports torch."""
