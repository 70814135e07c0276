"""Target: requests to the web server."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from fuzz.mutation import TEXTS, as_text, change_bytes, change_text, change_values, encoded
from fuzz.target import Differs, Target

STARTED: list[Any] = []
"""The client, once it runs."""


def request_seeds() -> list[dict[str, Any]]:
    """A request to each address."""
    import cv2

    from oddroad.web.routes import ENDPOINTS

    picture = cv2.imencode(".png", np.full((16, 24, 3), 90, np.uint8))[1].tobytes()
    values = {"type": "object"}
    bodies: dict[str, Any] = {
        "/api/views": {"source": "drives/a.png", "score": "red"},
        "/api/calibrations": {"detector": "red", "sources": ["drives/a.png"], "threshold": "no-alarms"},
        "/api/calibrations/curve": {"detector": "red", "threshold": 10.0},
        "infer": {
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [9] * 12}],
            "outputs": [{"name": "red"}],
            "id": "1",
        },
    }
    found = []
    for each in [*ENDPOINTS]:
        body = next((held for name, held in bodies.items() if each.path.endswith(name)), values)
        query = {name: "1" for name, _ in each.query}
        found.append(
            {
                "method": each.method,
                "path": each.path,
                "query": query,
                "json": body,
                "file": picture if each.file else b"",
            }
        )
    found += [each for each in found if each["path"].endswith("infer") or each["path"] == "/detect"] * 3
    return [
        *found,
        {"method": "GET", "path": "/", "query": {}, "json": values, "file": b""},
        {"method": "GET", "path": "/page/{name}", "query": {}, "json": values, "file": b""},
    ]


def change_request(rng: Random, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """A changed request: values of its path and query, its headers, its body."""
    each = rng.choice(seeds)
    path = each["path"]
    while "{" in path:
        begin, end = path.index("{"), path.index("}")
        word = rng.choice(("red", "1", "0", "a.png", "drives", "a" * 40, *TEXTS, "..%2f..%2fetc", "app.js", "v1", "-1"))
        path = path[:begin] + word.replace("{", "").replace("}", "") + path[end + 1 :]
    query = {name: rng.choice((value, "0", *TEXTS)) for name, value in each["query"].items() if rng.random() < 0.7}
    headers = {}
    for name, words in (
        ("content-encoding", ("gzip", "deflate", "br", "")),
        ("inference-header-content-length", ("0", "10", "-1", "99999", "x", "²")),
        ("range", ("bytes=0-", "bytes=5-1", "bytes=a", "bytes=-99999999999")),
        ("content-type", ("text/plain", "multipart/form-data; boundary=x")),
        ("cookie", ("oddroad_token=x; a", "=;=", "\xff")),
        ("authorization", ("Bearer", "Bearer é", "Basic x")),
        ("origin", ("http://[", "null", "http://localhost:8321")),
        ("if-none-match", ("*", '"')),
        ("content-length", ("5",)),
        ("host", ("localhost:x", "[::1", "localhost:99999")),
    ):
        if rng.random() < 0.06:
            headers[name] = rng.choice(words)
    if each["file"] and rng.random() < 0.9:
        body = change_bytes(rng, each["file"])
    else:
        body = encoded(as_text(rng, change_values(rng, each["json"])))
        if rng.random() < 0.2:
            body = encoded(change_text(rng, json.dumps(each["json"])))
    method = each["method"] if rng.random() < 0.95 else rng.choice(("PUT", "HEAD", "OPTIONS", "PATCH", "GET", "POST"))
    return {"method": method, "path": path, "query": query, "headers": headers, "body": body}


def client() -> Any:
    """A client of a server with a small detector and a folder of pictures."""
    if not STARTED:
        import cv2
        from mining.fleet import red_detector
        from starlette.testclient import TestClient

        from oddroad.inference.model import Model
        from oddroad.web.app import Application
        from oddroad.web.desk import Desk
        from oddroad.web.detectors import Detector
        from oddroad.web.limits import Limits

        home = Path(tempfile.mkdtemp(prefix="fuzz-web-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        (home / "drives").mkdir()
        cv2.imwrite(str(home / "drives" / "a.png"), np.full((16, 24, 3), 90, np.uint8))
        model = Model(red_detector(home / "red.onnx"), threads=1)
        limits = Limits(upload_bytes=2**20, request_bytes=2**20, pixels=10**6, uploads_bytes=2**24, kept_bytes=2**26)
        desk = Desk.of([str(home / "drives")], [Detector("red", model)], home / "desk", limits)
        desk.folder.mkdir(exist_ok=True)
        opened = TestClient(Application(desk).asgi(), base_url="http://localhost:8321")
        opened.__enter__()
        STARTED.append(opened)
    return STARTED[0]


def ask(given: dict[str, Any], folder: Path) -> None:
    """Send a request; whatever it is, it is answered, and not with a fault of the server."""
    web = client()
    headers = {name: value.encode("latin-1", "replace") for name, value in given["headers"].items()}
    try:
        request = web.build_request(
            given["method"], given["path"], params=given["query"], headers=headers, content=given["body"]
        )
    except Exception:  # no client can send this
        return
    answer = web.send(request)
    if answer.status_code >= 500 and answer.status_code != 503:
        raise Differs(f"{given['method']} is answered with {answer.status_code}")
    if answer.headers.get("content-type") == "application/json":
        json.loads(answer.content or b"null", parse_constant=lambda word: 1 / 0)


SERVER = {"web": lambda: Target("web", request_seeds, change_request, ask, "json: answers are JSON by the standard")}
