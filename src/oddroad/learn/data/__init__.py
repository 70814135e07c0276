"""Training data: scenes, cut-outs, crops and their augmentation."""
