"""The Open Inference Protocol: by hand, and by Triton's own client as it is."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from oddroad.inference.model import Model
from oddroad.types import Frame
from oddroad.web.desk import Desk
from oddroad.web.inference_protocol import HEAD

pytest.importorskip("starlette", reason="of the extra 'web'")

INFER = "/v2/models/oddroad-default/infer"


def request_of(image: np.ndarray, **more: Any) -> dict[str, Any]:
    """A request for the score of a picture, in JSON."""
    given = {"name": "image", "datatype": "UINT8", "shape": [1, *image.shape], "data": image.ravel().tolist()}
    return {"inputs": [given], **more}


def test_the_server_says_what_it_is_and_has(client: Any) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/ready").json() == {"ready": True}
    about = client.get("/v2/models/oddroad-default").json()
    assert about["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [1, -1, -1, 3]}]
    assert [each["name"] for each in about["outputs"]] == ["outlier_head", "classes"]
    for path in ("/v2/models/other", "/v2/models/oddroad-default/versions/7"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_json_in_and_out(client: Any, model: Model, frames: list[Frame]) -> None:
    image = np.ascontiguousarray(frames[0].image[::6, ::6])
    answer = client.post(INFER, json=request_of(image, id="7")).json()
    (output,) = answer["outputs"]
    assert (answer["id"], output["datatype"], output["shape"]) == ("7", "FP32", [1, *image.shape[:2]])
    assert np.array_equal(np.array(output["data"], np.float32).reshape(image.shape[:2]), model(image))


@pytest.mark.parametrize("packed", [False, True])
def test_binary_in_and_out(client: Any, model: Model, frames: list[Frame], packed: bool) -> None:
    image = frames[0].image
    given = {"name": "image", "datatype": "UINT8", "shape": [1, *image.shape],
             "parameters": {"binary_data_size": image.nbytes}}  # fmt: skip
    outputs = [{"name": "outlier_head", "parameters": {"binary_data": True}}, {"name": "classes"}]
    head = json.dumps({"inputs": [given], "outputs": outputs, "parameters": {"binary_data_output": True}}).encode()
    body, headers = head + image.tobytes(), {HEAD: str(len(head))}
    if packed:
        body, headers = gzip.compress(body), {**headers, "content-encoding": "gzip"}
    answer = client.post(INFER, content=body, headers=headers)
    size = int(answer.headers[HEAD])
    told = json.loads(answer.content[:size])["outputs"]
    sizes = [each["parameters"]["binary_data_size"] for each in told]
    assert sum(sizes) == len(answer.content) - size
    heat = np.frombuffer(answer.content, "<f4", 180 * 320, size).reshape(180, 320)
    classes = np.frombuffer(answer.content, np.uint8, 180 * 320, size + sizes[0]).reshape(180, 320)
    wanted = model.outputs(image, ["outlier_head", "classes"])
    assert np.array_equal(heat, wanted["outlier_head"])
    assert np.array_equal(classes, wanted["classes"])


IMAGE = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": []}, "no single input"),
        ({"inputs": [{"name": "x", "datatype": "UINT8", "shape": [1, 4, 6, 3], "data": []}]}, "expected 'image'"),
        ({"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 4, 6, 3], "data": []}]}, "expected 'image'"),
        ({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [2, 4, 6, 3], "data": []}]}, "has shape"),
        ({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, -4, 6, 3], "data": []}]}, "has shape"),
        ({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 4, 6, 3], "data": [300] * 72}]}, "from 0 to"),
        ({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 4, 6, 3], "data": [0]}]}, "'data' has 1"),
        ({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 99999, 99999, 3], "data": []}]}, "megapixels"),
        ({"outputs": [{"name": "nothing"}]}, "has no output 'nothing'"),
    ],
)
def test_what_is_wrong_is_said(client: Any, change: dict[str, Any], words: str) -> None:
    answer = client.post(INFER, json={**request_of(IMAGE), **change})
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"{", {}), (b"[]", {}), (b"{}", {HEAD: "99"}), (b"{}", {HEAD: "-1"}), (b"x", {"content-encoding": "gzip"})],
)
def test_broken_bodies_are_refused(client: Any, body: bytes, headers: dict[str, str]) -> None:
    assert client.post(INFER, content=body, headers=headers).status_code == 400


@contextlib.contextmanager
def running(desk: Desk) -> Iterator[str]:
    """The desk behind a real port."""
    import uvicorn

    from oddroad.web.app import Application

    config = uvicorn.Config(Application(desk).asgi(), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server, listening = uvicorn.Server(config), config.bind_socket()
    worker = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    worker.start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    worker.join(20)


@pytest.mark.filterwarnings("ignore")  # of the client
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_as_it_is(desk: Desk, model: Model, frames: list[Frame], binary: bool) -> None:
    http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    image = frames[0].image if binary else np.ascontiguousarray(frames[0].image[::6, ::6])
    with running(desk) as address, http.InferenceServerClient(address) as triton:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("oddroad-default")
        assert triton.get_server_metadata()["name"] == "oddroad"
        assert triton.get_model_metadata("oddroad-default")["platform"].startswith("oddroad_")
        given = http.InferInput("image", [1, *image.shape], "UINT8")
        given.set_data_from_numpy(image[None], binary_data=binary)
        outputs = [http.InferRequestedOutput("outlier_head", binary_data=binary)]
        for wanted in (outputs, None):  # without outputs the client asks for all of them in binary
            found = triton.infer("oddroad-default", [given], outputs=wanted).as_numpy("outlier_head")
            assert np.array_equal(found[0], model(image))
        with pytest.raises(http.InferenceServerException if hasattr(http, "InferenceServerException") else Exception):
            triton.infer("no-such-model", [given])
