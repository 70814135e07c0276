"""From a checkpoint to one .onnx file, and its INT8 form."""
