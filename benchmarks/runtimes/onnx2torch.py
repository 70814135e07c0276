"""onnx2torch on the portable file, for the matrix of devices."""

from __future__ import annotations

import shutil

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
    import onnx2torch
    import torch

    torch.set_num_threads(threads)
    module = onnx2torch.convert(f"{folder}/detector.onnx").eval()

    def run(image):
        with torch.inference_mode():
            found = module(torch.from_numpy(image))
        return [each.numpy() for each in (found if isinstance(found, (tuple, list)) else [found])]

    return run
