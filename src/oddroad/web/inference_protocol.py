"""The Open Inference Protocol, version 2, over HTTP with its binary extension: what Triton and KServe clients speak."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from oddroad.errors import counted
from oddroad.web.desk import Desk
from oddroad.web.detectors import Detector
from oddroad.web.reply import Call, Refused, Reply, as_json

HEAD = "inference-header-content-length"
"""Header with the bytes of the JSON before what is binary."""

INPUT = "image"


def server(desk: Desk, call: Call) -> Reply:
    """Name and version of the server, and what it can do."""
    from importlib.metadata import version

    return as_json({"name": "oddroad", "version": version("oddroad"), "extensions": ["binary_tensor_data"]})


def live(desk: Desk, call: Call) -> Reply:
    """That the server is there."""
    return as_json({"live": True})


def ready(desk: Desk, call: Call) -> Reply:
    """That it can judge frames: the detectors are loaded."""
    return as_json({"ready": bool(desk.detectors)})


def model_of(desk: Desk, call: Call) -> Detector:
    """The detector in the address.

    Raises:
        Refused: if there is none of this name and version.
    """
    name, version = call.path["model"], call.path.get("version", "1")
    found = next((each for each in desk.detectors if each.name == name), None)
    if found is None:
        raise Refused(f"no model called '{name}'; there are: {', '.join(each.name for each in desk.detectors)}", 404)
    if version != "1":
        raise Refused(f"model '{name}' has no version '{version}'; its version is 1", 404)
    return found


def model_ready(desk: Desk, call: Call) -> Reply:
    """That a detector is loaded."""
    return as_json({"name": model_of(desk, call).name, "ready": True})


def metadata(desk: Desk, call: Call) -> Reply:
    """Inputs and outputs of a detector."""
    detector = model_of(desk, call)
    outputs = [{"name": name, "datatype": "FP32", "shape": [1, -1, -1]} for name in detector.model.scores]
    if "classes" in detector.model.output_names:
        outputs.append({"name": "classes", "datatype": "UINT8", "shape": [1, -1, -1]})
    return as_json({
        "name": detector.name, "versions": ["1"], "platform": f"oddroad_{detector.model.engine}",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [1, -1, -1, 3]}], "outputs": outputs,
    })  # fmt: skip


def infer(desk: Desk, call: Call) -> Reply:
    """Score maps (1, H, W) float32 of a picture ``image`` (1, H, W, 3) uint8 RGB."""
    detector = model_of(desk, call)
    request, binary = split(call, desk.limits.request_bytes)
    image = image_of(request, binary, desk.limits.pixels)
    wanted = request.get("outputs") or [{"name": each} for each in detector.model.scores]
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise Refused("'outputs' is no list of objects with a 'name'")
    names = list(dict.fromkeys(str(each.get("name")) for each in wanted))
    with detector.turns:
        maps = detector.model.outputs(image, names)
    every = parameters(request).get("binary_data_output", False)
    as_bytes = {str(each.get("name")): parameters(each).get("binary_data", every) for each in wanted}
    outputs, tail = [], []
    for name in names:
        value = maps[name]
        described = {
            "name": name, "datatype": "FP32" if value.dtype == np.float32 else "UINT8", "shape": [1, *value.shape],
        }  # fmt: skip
        if as_bytes[name]:
            data = value.astype(value.dtype.newbyteorder("<")).tobytes()
            tail.append(data)
            described["parameters"] = {"binary_data_size": len(data)}
        else:
            described["data"] = value.ravel().tolist()
        outputs.append(described)
    answer: dict[str, Any] = {"model_name": detector.name, "model_version": "1", "outputs": outputs}
    if isinstance(request.get("id"), str):
        answer["id"] = request["id"]
    if not tail:
        return as_json(answer)
    head = json.dumps(answer).encode()
    return Reply(b"".join([head, *tail]), "application/octet-stream", {HEAD: str(len(head))})


def parameters(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a request, an input or an output; none where they are no object."""
    found = values.get("parameters")
    return found if isinstance(found, dict) else {}


def split(call: Call, most: int) -> tuple[dict[str, Any], bytes]:
    """The JSON of a request and the bytes after it.

    Raises:
        Refused: if they are not what the protocol says.
    """
    body, coding = call.body, call.headers.get("content-encoding", "identity")
    if coding in ("gzip", "deflate"):
        try:
            unpacked = zlib.decompressobj(47 if coding == "gzip" else 15)
            body = unpacked.decompress(body, most)
        except zlib.error:
            raise Refused(f"the body is not {coding}") from None
        if unpacked.unconsumed_tail:
            raise Refused(f"the body is larger than {most / 2**20:.0f} MiB when unpacked", 413)
    elif coding != "identity":
        raise Refused(f"content-encoding '{coding}'; expected gzip, deflate or none", 415)
    length = call.headers.get(HEAD, "")
    if length and not (length.isascii() and length.isdigit() and int(length) <= len(body)):
        raise Refused(f"'{HEAD}' is '{length[:20]}'; expected the bytes of the JSON, at most {len(body)}")
    size = int(length) if length else len(body)
    return Call(body=body[:size]).json(), body[size:]


def image_of(request: Mapping[str, Any], binary: bytes, pixels: int) -> np.ndarray:
    """The picture (H, W, 3) uint8 of a request.

    Raises:
        Refused: if it is not there, or not of the shape and type that it says.
    """
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refused(f"'inputs' holds no single input; expected '{INPUT}'")
    given = inputs[0]
    if given.get("name") != INPUT or given.get("datatype") != "UINT8":
        raise Refused(f"the input is '{given.get('name')}' of {given.get('datatype')}; expected '{INPUT}' of UINT8")
    shape = given.get("shape")
    shape = shape if isinstance(shape, list) and all(isinstance(each, int) and each > 0 for each in shape) else []
    if len(shape) not in (3, 4) or shape[-1] != 3 or (len(shape) == 4 and shape[0] != 1):
        raise Refused(f"the input has shape {str(given.get('shape'))[:80]}; expected [1, height, width, 3]")
    height, width = shape[-3:-1]
    if height * width > pixels:
        raise Refused(f"{width} x {height} pixels are more than the limit of {pixels / 1e6:g} megapixels", 413)
    if "binary_data_size" in parameters(given):
        if parameters(given)["binary_data_size"] != len(binary) or len(binary) != math.prod(shape):
            raise Refused(
                f"there are {counted(len(binary), 'byte')} after the JSON; a picture of {shape} has {math.prod(shape)}"
            )
        return np.frombuffer(binary, np.uint8).reshape(height, width, 3)
    try:
        values = np.asarray(given.get("data"))
    except ValueError:
        raise Refused("'data' is ragged; expected numbers from 0 to 255") from None
    if values.size != math.prod(shape) or values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise Refused(
            f"'data' has {counted(values.size, 'value')} of {values.dtype}; expected {math.prod(shape)} from 0 to 255"
        )
    return np.ascontiguousarray(values.reshape(height, width, 3).astype(np.uint8))
