"""onnx2torch on the portable file, for the matrix of devices.

It imports torchvision for two operators that no detector has; where that is missing, or does not fit the PyTorch that
is there, an empty module stands in.
"""

from __future__ import annotations

import shutil
from typing import Any

PACKAGES = ("onnx2torch==1.5.15", "onnx==1.23.0", "torch==2.13.0", "numpy==2.4.6")
WITH_DEPENDENCIES, MEGABYTES, FORMS = True, 1200, ("float32",)


def refusal():
    """Why this machine cannot."""
    return ""


def convert(portable, folder, form, pictures):
    """The portable file is read as it is."""
    shutil.copyfile(portable, f"{folder}/detector.onnx")


def open_file(folder, outputs, threads):
    """Run by PyTorch in eager mode."""
    import sys
    import types

    import torch

    try:
        import torchvision.ops  # noqa: F401
    except (ImportError, RuntimeError):
        empty: Any = types.ModuleType("torchvision")
        empty.ops = types.ModuleType("torchvision.ops")
        empty.ops.roi_align = None
        sys.modules.update({"torchvision": empty, "torchvision.ops": empty.ops})
    import onnx2torch

    torch.set_num_threads(threads)
    module = onnx2torch.convert(f"{folder}/detector.onnx").eval()

    def run(image):
        with torch.inference_mode():
            found = module(torch.from_numpy(image))
        return [each.numpy() for each in (found if isinstance(found, (tuple, list)) else [found])]

    return run
