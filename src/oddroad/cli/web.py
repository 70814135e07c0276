"""The verb ``web``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from oddroad.cli.common import EngineName, say
from oddroad.errors import InputError


def web(
    source: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    model: tuple[str, ...] = ("default",),
    score: str | None = None,
    engine: EngineName = "auto",
    host: str = "127.0.0.1",
    port: int = 8321,
    token: str = "",
    results: tuple[Path, ...] = (),
    max_upload: int = 512,
    max_pixels: int = 50_000_000,
    max_frames: int = 20_000,
    keep: int = 4096,
    build: Path | None = None,
    runtime: Path | None = None,
) -> None:
    """Look at frames, maps and thresholds in a browser, and serve detectors over HTTP.

    Example: oddroad web drives/ --model default my_detector.onnx

    Args:
        source: what the page may open: images, folders, globs, videos, a camera's number, addresses of streams, driving
            logs; nothing else on this machine can be reached. Pictures and clips can be dropped onto the page, too.
        model: oddroad .onnx files, "default", "accurate" or "default-fp32", addresses or hf:ORG/NAME: one, or two to be
            shown side by side.
        score: which of their scores; by default their first.
        engine: what runs the networks.
        host: address to listen at; by default this machine alone. Elsewhere, every request needs the token.
        port: to listen at; 0 for any that is free.
        token: that requests must show; made and printed where it is needed and none is given.
        results: folders of results of evaluate, train, mine and detect, which are read as they are written.
        max_upload: MiB of a file that is dropped or sent.
        max_pixels: of a picture or frame.
        max_frames: of one source.
        keep: MiB of frames and maps that are kept on disk while the page runs.
        build: write a page without a server into this folder instead: everything runs in the browser.
        runtime: with --build, the package of onnxruntime-web (.tgz of its npm release); by default it is fetched from
            the npm registry, in the version and with the check sum that this oddroad was tested with.
    """
    if runtime is not None and build is None:
        raise InputError("--runtime is for --build; leave it out")
    if build is not None:
        from oddroad.web.static_site import build_site

        say(build_site(model, build, runtime, score))
        return
    from oddroad.concurrency import available_cores
    from oddroad.detection.pipeline import MOST_TOGETHER
    from oddroad.web.detectors import load_detectors
    from oddroad.web.limits import Limits
    from oddroad.web.serving import serve

    for name, value in (("--max-upload", max_upload), ("--max-frames", max_frames), ("--keep", keep)):
        if value < 1:
            raise InputError(f"{name} is {value}; expected 1 or more")
    if not 0 <= port < 65536:
        raise InputError(f"--port is {port}; expected 0 to 65535")
    limits = Limits(
        upload_bytes=max_upload * 2**20, uploads_bytes=4 * max_upload * 2**20, pixels=max_pixels, frames=max_frames,
        kept_bytes=keep * 2**20,
    )  # fmt: skip
    detectors = load_detectors(model, score, engine, min(available_cores(), MOST_TOGETHER))
    try:
        serve(source, detectors, host, port, token, limits, results, lambda address: say(f"open {address}"))
    except KeyboardInterrupt:
        say("stopped; what ran is finished")
