"""OpenVINO on the portable file, for the matrix of devices; ``oddroad detect --engine openvino`` runs it as well."""

from __future__ import annotations

import shutil

PACKAGES = ("openvino==2026.4.0", "numpy==2.4.6")
WITH_DEPENDENCIES, MEGABYTES, FORMS = True, 300, ("float32",)


def refusal():
    """Why this machine cannot."""
    return ""


def convert(portable, folder, form, pictures):
    """The portable file is read as it is."""
    shutil.copyfile(portable, f"{folder}/detector.onnx")


def open_file(folder, outputs, threads):
    """Run by OpenVINO on the processor in float32."""
    import openvino

    how = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(f"{folder}/detector.onnx", "CPU", how)
    request = compiled.create_infer_request()

    def run(image):
        request.infer({0: image})
        return [request.get_tensor(name).data.copy() for name in outputs]

    return run
