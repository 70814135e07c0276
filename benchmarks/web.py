"""What `oddroad web` costs and bears: FPS of viewing against `detect`, many clients at once, first paint in Chromium.

    python benchmarks/web.py [viewing] [load] [paint] [--clients 200] [--seconds 600] [--model default]

viewing: the motorway clip read and judged by a view and by `oddroad detect`, in turns, in wall and processor time.
load: a server in a process of its own; each client looks at frames and maps, asks for findings, and sends pictures and
short clips to be judged, whose frames must come back in their order. Latency by what was asked, the server's memory
over time, and every answer that is neither right nor "busy, try again". paint: first contentful paint of the page,
five times, where Playwright and Chromium are installed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.benchmarking.environment import processor, versions
from oddroad.detection.pipeline import run
from oddroad.detection.settings import Settings
from oddroad.inference.model import Model
from oddroad.io.images import encode_image
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.io.video_writer import VideoWriter
from oddroad.synthetic.motorway_drive import clip_folder
from oddroad.web.detectors import Detector
from oddroad.web.library import Library
from oddroad.web.limits import Limits
from oddroad.web.views import Views

CLIP = clip_folder() / "motorway.mp4"


def viewing(model: str, rounds: int = 3) -> dict[str, Any]:
    """Seconds of a view and of a detection run on the same clip, in turns: wall, and processor."""
    spent: dict[str, list[tuple[float, float]]] = {"web": [], "detect": []}
    for _ in range(rounds):
        for name in spent:
            with tempfile.TemporaryDirectory() as folder:
                detector = Model(model, parallel=2)
                began, busy = time.perf_counter(), time.process_time()
                if name == "web":
                    limits = Limits()
                    library = Library([str(CLIP)], Path(folder) / "uploads", limits)
                    views = Views([Detector("m", detector)], Path(folder) / "views", limits)
                    view = views.open(library.entries()[0])
                    view.worker.join()
                    assert view.state == "done", view.error
                else:
                    run(detector, find_sources([str(CLIP)]), Path(folder) / "out", Settings())
                spent[name].append((time.perf_counter() - began, time.process_time() - busy))
                if name == "web":
                    views.close_all()
    best = {name: [min(each) for each in zip(*pairs, strict=True)] for name, pairs in spent.items()}
    return {
        "fps_of_detect": 150 / best["detect"][0],
        "ratio_wall": best["detect"][0] / best["web"][0],
        "ratio_processor": best["detect"][1] / best["web"][1],
    }


class Server:
    """``oddroad web`` in a process of its own."""

    def __init__(self, folder: Path, model: str):
        words = [sys.executable, "-m", "oddroad.cli", "web", str(folder), "--port", "0", "--model", model]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[1].rstrip("/")

    def megabytes(self) -> float:
        """Resident memory now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> float:
        """Tell it to end; seconds until it has."""
        began = time.perf_counter()
        self.process.terminate()
        self.process.wait(90)
        return time.perf_counter() - began


async def client(number: int, server: Server, end: float, picture: bytes, clip: bytes, told: dict[str, Any]) -> None:
    """One client: looks, asks, sends, until the time is over."""
    import httpx2

    draw = random.Random(number)
    async with httpx2.AsyncClient(base_url=server.address, timeout=120, verify=False) as http:
        key, done = "", 0
        while time.monotonic() < end:
            what = draw.choices(["frame", "map", "findings", "view", "picture", "clip"], [6, 6, 2, 4, 2, 1])[0]
            began = time.perf_counter()
            try:
                if not key:
                    source = (await http.get("/api/sources")).json()["sources"][0]["key"]
                    answer = await http.post("/api/views", json={"source": source})
                    key, done = answer.json().get("key", ""), answer.json().get("done", 0)
                    what = "open"
                elif what == "view":
                    answer = await http.get(f"/api/views/{key}?since={done}")
                    done = answer.json().get("done", done)
                elif what in ("frame", "map"):
                    at = draw.randrange(max(done, 1))
                    answer = await http.get(f"/api/views/{key}/frames/{at}{'.jpg' if what == 'frame' else '/map'}")
                    if done == 0 and answer.status_code == 404:
                        continue
                elif what == "findings":
                    answer = await http.get(f"/api/views/{key}/findings?threshold={draw.choice([2.0, 3.0, 4.0])}")
                else:
                    answer = await http.post("/detect", content=picture if what == "picture" else clip)
                    if what == "clip" and answer.status_code == 200:
                        lines = [json.loads(each) for each in answer.text.splitlines()]
                        order = [each["index"] for each in lines if each["type"] == "frame"]
                        told["wrong"] += (
                            [] if order == list(range(len(order))) and len(order) == 5 else [f"order {order}"]
                        )
            except httpx2.HTTPError as error:
                told["wrong"].append(f"{what}: {type(error).__name__}")
                continue
            if answer.status_code in (200, 201):
                told["seconds"][what].append(time.perf_counter() - began)
            elif answer.status_code == 503 and "busy" in answer.text:
                told["busy"][what] += 1
                await asyncio.sleep(float(answer.headers.get("retry-after", 1)) * draw.uniform(0.5, 1.5))
            else:
                told["wrong"].append(f"{what}: {answer.status_code} {answer.text[:80]}")
            await asyncio.sleep(draw.uniform(0.2, 1.0))  # a person looks


async def loaded(server: Server, clients: int, seconds: float, picture: bytes, clip: bytes) -> dict[str, Any]:
    """All clients at once; what they saw, and the server's memory every few seconds."""
    told: dict[str, Any] = {"seconds": defaultdict(list), "busy": Counter(), "wrong": []}
    end, memory = time.monotonic() + seconds, []

    async def watch() -> None:
        while time.monotonic() < end:
            memory.append(round(server.megabytes(), 1))
            await asyncio.sleep(max(seconds / 40, 1))

    await asyncio.gather(watch(), *(client(each, server, end, picture, clip, told) for each in range(clients)))
    return told | {"memory": memory}


def load(model: str, clients: int, seconds: float) -> dict[str, Any]:
    """Many clients at once; see the module."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shown").mkdir()
        shutil.copy(CLIP, folder / "shown")
        frames = [each for each, _ in zip(read(find_sources([str(CLIP)])), range(5), strict=False)]
        writer = VideoWriter(folder / "short.mp4", 25.0)
        for each in frames:
            writer.write(each.image[::2, ::2], each.time)
        writer.close()
        server = Server(folder / "shown", model)
        try:
            clip = (folder / "short.mp4").read_bytes()
            told = asyncio.run(loaded(server, clients, seconds, encode_image(frames[0].image, ".jpg"), clip))
        finally:
            stopped = server.stop()
    latency = {
        what: {"count": len(each), **{f"p{q}": float(np.percentile(each, q)) for q in (50, 95, 99)}}
        for what, each in sorted(told["seconds"].items())
    }
    wrong = Counter(told["wrong"])
    return {
        "clients": clients, "seconds": seconds, "latency": latency, "busy": dict(told["busy"]),
        "wrong": dict(wrong.most_common(5)), "memory": told["memory"], "seconds_to_stop": stopped,
    }  # fmt: skip


def paint(model: str) -> dict[str, Any]:
    """Milliseconds to the first contentful paint, each in a fresh context."""
    from playwright.sync_api import sync_playwright

    server, found = Server(CLIP.parent, model), []
    try:
        with sync_playwright() as running:
            program = shutil.which("chromium") or shutil.which("google-chrome")
            browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
            for _ in range(5):
                context = browser.new_context(bypass_csp=True)
                page = context.new_page()
                page.goto(server.address)
                page.get_by_role("button", name="motorway.mp4").wait_for()
                script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                found.append(page.evaluate(script))
                context.close()
            browser.close()
    finally:
        server.stop()
    return {"first_contentful_paint_ms": {"median": statistics.median(found), "all": found}}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["viewing", "load", "paint"])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    values: dict[str, Any] = {"processor": processor(), "versions": versions()}
    for what in given.what:
        if what == "viewing":
            values[what] = viewing(given.model)
        elif what == "load":
            values[what] = load(given.model, given.clients, given.seconds)
        else:
            values[what] = paint(given.model)
        print(what, json.dumps(values[what], indent=1))
    print(json.dumps(values))


if __name__ == "__main__":
    main()
