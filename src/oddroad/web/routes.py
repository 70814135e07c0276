"""Every address of the interface: what answers it, what it takes, and its description in OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oddroad.web import calibrating, detecting, handlers, inference_protocol, results
from oddroad.web.desk import Desk
from oddroad.web.reply import Call, Reply, as_json

Handler = Callable[[Desk, Call], Reply]


@dataclass(frozen=True)
class Endpoint:
    """One address.

    Attributes:
        method: of HTTP.
        path: with the names of its parts in braces.
        handler: what answers; its docstring describes it.
        query: names of values after the ``?``, with what they are.
        heavy: it judges frames or writes videos: few run at the same time, some wait, others are told to come back.
        file: its body goes into a file and may be as large as an upload.
        kind: media type of the answer.
    """

    method: str
    path: str
    handler: Handler
    query: tuple[tuple[str, str], ...] = ()
    heavy: bool = False
    file: bool = False
    kind: str = "application/json"


SETTING = (
    ("detector", "number of the detector, from 0"),
    ("threshold", "no-alarms, alarms=1/100frames, alarms=6/hour, fpr=0.1%, or a number; the card's by default"),
    ("min_area", "leave out regions of fewer pixels; by default as the card was calibrated"),
    ("roi", "region of interest: card, all, or corners of a polygon as shares such as 0,1 0.4,0.5 0.6,0.5 1,1"),
    ("max_age", "frames in a row that a track may miss before it ends"),
)
HITS = ("min_hits", "report only tracks with at least so many hits")
SINCE = ("since", "number of the first frame")
VIEW = "/api/views/{view}"

ENDPOINTS = [
    Endpoint("GET", "/api/about", handlers.about),
    Endpoint("GET", "/api/sources", handlers.sources),
    Endpoint("POST", "/api/sources", handlers.upload, file=True, query=(
        ("name", "of the file"), ("title", "of all together"), ("batch", "any text, the same for pictures that belong "
        "together"), ("last", "1 with the last of them"))),
    Endpoint("POST", "/api/views", handlers.open_view),
    Endpoint("GET", VIEW, handlers.view_of, (SINCE,)),
    Endpoint("DELETE", VIEW, handlers.close_view),
    Endpoint("POST", f"{VIEW}/stop", handlers.stop_view),
    Endpoint("GET", f"{VIEW}/frames/{{frame}}.jpg", handlers.picture, kind="image/jpeg"),
    Endpoint("GET", f"{VIEW}/frames/{{frame}}/map", handlers.map_of, SETTING[:1], kind="application/octet-stream"),
    Endpoint("GET", f"{VIEW}/frames/{{frame}}/inside", handlers.inside, (SETTING[0], SETTING[3])),
    Endpoint("GET", f"{VIEW}/levels", handlers.levels, (SETTING[0], *SETTING[2:4], SINCE, ("count", "of frames")),
             True),
    Endpoint("GET", f"{VIEW}/findings", handlers.findings, (*SETTING, SINCE), True),
    Endpoint("GET", f"{VIEW}/export/jsonl", handlers.export_jsonl, (*SETTING, HITS), True, kind="application/jsonl"),
    Endpoint("GET", f"{VIEW}/export/coco", handlers.export_coco, (*SETTING, HITS), True),
    Endpoint("GET", f"{VIEW}/export/still", handlers.export_still, (*SETTING, HITS, ("frame", "its number")), True,
             kind="image/png"),
    Endpoint("GET", f"{VIEW}/export/clip", handlers.export_clip,
             (*SETTING, HITS, ("begin", "first frame"), ("end", "first frame that is not wanted")), True,
             kind="video/mp4"),
    Endpoint("POST", "/api/calibrations/curve", calibrating.curve, heavy=True),
    Endpoint("POST", "/api/calibrations", calibrating.begin),
    Endpoint("GET", "/api/calibrations/{key}", calibrating.progress),
    Endpoint("GET", "/api/calibrations/{key}/file", calibrating.file, kind="application/octet-stream"),
    Endpoint("GET", "/api/results", results.listing),
    Endpoint("GET", "/api/results/{key}", results.content),
    Endpoint("GET", "/api/results/{key}/pictures/{name:path}", results.picture, (("frame", "name of the frame"),),
             kind="image/png"),
    Endpoint("POST", "/detect", detecting.detect, (*SETTING, HITS, ("every", "of a clip, judge every n-th frame"),
             ("name", "of the source in the answer")), heavy=True, file=True),
    Endpoint("GET", "/health", inference_protocol.live),
    Endpoint("GET", "/v2", inference_protocol.server),
    Endpoint("GET", "/v2/health/live", inference_protocol.live),
    Endpoint("GET", "/v2/health/ready", inference_protocol.ready),
    Endpoint("GET", "/v2/models/{model}", inference_protocol.metadata),
    Endpoint("GET", "/v2/models/{model}/ready", inference_protocol.model_ready),
    Endpoint("POST", "/v2/models/{model}/infer", inference_protocol.infer, heavy=True),
    Endpoint("GET", "/v2/models/{model}/versions/{version}", inference_protocol.metadata),
    Endpoint("GET", "/v2/models/{model}/versions/{version}/ready", inference_protocol.model_ready),
    Endpoint("POST", "/v2/models/{model}/versions/{version}/infer", inference_protocol.infer, heavy=True),
]  # fmt: skip
"""All of them but the page itself, its files, ``/openapi.json`` and ``/metrics``."""


def openapi(desk: Desk, call: Call) -> Reply:
    """This interface as OpenAPI 3.1."""
    from importlib.metadata import version

    paths: dict[str, dict[str, Any]] = {}
    for each in [*ENDPOINTS, Endpoint("GET", "/openapi.json", openapi)]:
        words = (each.handler.__doc__ or "").strip()
        inside = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"\{(\w+)[}:]", each.path)
        ]
        asked = [
            {"name": name, "in": "query", "description": words, "schema": {"type": "string"}}
            for name, words in each.query
        ]
        operation: dict[str, Any] = {
            "summary": words.splitlines()[0].replace("``", "`"),
            "description": " ".join(words.split()).replace("``", "`"),
            "operationId": f"{each.handler.__name__}_{each.method.lower()}_{each.path.count('{')}",
            "parameters": [*inside, *asked],
            "responses": {
                "200": {"description": "done", "content": {each.kind: {}}},
                "4XX": {"description": "refused; the field 'error' says why"},
                "503": {"description": "busy, try again"},
            },
        }
        if each.method == "POST":
            kind = "application/octet-stream" if each.file else "application/json"
            operation["requestBody"] = {"content": {kind: {}}}
        paths.setdefault(each.path.replace(":path}", "}"), {})[each.method.lower()] = operation
    return as_json({
        "openapi": "3.1.0",
        "info": {"title": "oddroad", "version": version("oddroad"), "description": "Find anomalies on the road."},
        "paths": paths,
    })  # fmt: skip
