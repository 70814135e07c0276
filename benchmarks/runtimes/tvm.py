"""Apache TVM on the portable file, for the matrix of devices: relax, LLVM on the processor, untuned."""

from __future__ import annotations

import shutil

PACKAGES = ("apache-tvm==0.27.0.post1", "onnx==1.23.0", "numpy==2.4.6")
WITH_DEPENDENCIES, MEGABYTES, FORMS = True, 500, ("float32",)


def refusal():
    """Why this machine cannot."""
    return ""


def convert(portable, folder, form, pictures):
    """The portable file is compiled when it is opened."""
    shutil.copyfile(portable, f"{folder}/detector.onnx")


def open_file(folder, outputs, threads):
    """Compile for the processor, and run."""
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    module = from_onnx(onnx.load(f"{folder}/detector.onnx"), keep_params_in_input=False)
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())

    def run(image):
        found = machine["main"](tvm.runtime.tensor(image))
        return [each.numpy() for each in (found if len(outputs) > 1 else [found])]

    return run
