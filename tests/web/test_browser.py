"""The page in a real Chromium: every view, keyboard alone, a narrow screen, dark and light, and without a server.

They run where Chromium and Playwright are; with ODDROAD_SCREENSHOTS a folder gets a picture of every view.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.conftest import write_clip

from oddroad.inference.model import Model
from oddroad.io.images import read_image, write_image
from oddroad.regions import InDistribution, find
from oddroad.types import Frame
from oddroad.web.static_site import ADDRESS, SHA512, build_site

pytest.importorskip("starlette", reason="of the extra 'web'")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser is driven here")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]

AXE = "https://registry.npmjs.org/axe-core/-/axe-core-4.14.1.tgz"
PATIENCE = 120_000
"""Milliseconds: a busy machine is no failure."""


def fetched(address: str, sha512: str = "") -> bytes:
    """A package of the npm registry, kept in the temporary folder; the test is skipped where it cannot be had."""
    kept = Path(tempfile.gettempdir()) / "oddroad-test-packages" / address.rpartition("/")[2]
    if not kept.is_file():
        try:
            with urllib.request.urlopen(address, timeout=120) as answer:
                data = answer.read()
        except OSError as error:
            pytest.skip(f"{address} cannot be fetched: {error}")
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(data)
    data = kept.read_bytes()
    assert not sha512 or base64.b64encode(hashlib.sha512(data).digest()).decode() == sha512
    return data


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]) -> Iterator[str]:
    """The address of ``oddroad web`` on a clip and two pictures; it must end in peace when it is told to."""
    folder = tmp_path_factory.mktemp("shown")
    write_clip(folder / "drive.mp4", frames)
    for number, frame in enumerate(frames[:2]):
        write_image(folder / "photos" / f"{number}.png", frame.image)
    words = ["-m", "oddroad.cli", "web", str(folder), "--port", "0", "--model", "default", "default-fp32"]
    started = subprocess.Popen([sys.executable, *words, "--results", str(folder)], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    line = started.stdout.readline()
    assert line.startswith("open http://127.0.0.1:"), line
    yield line.split()[1]
    started.send_signal(signal.SIGTERM)
    with started.stdout as said:
        assert started.wait(30) == 0
        assert "what ran is finished" in said.read()


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    """A page on the server; an error in its scripts fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, bypass_csp=True)
    yield from opened(context, server)


def opened(context: Any, address: str) -> Iterator[Any]:
    page, errors = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(address)
    yield page
    context.close()
    assert not errors


def look(page: Any, name: str) -> None:
    """Keep a picture of the page where somebody wants to look at it."""
    if folder := os.environ.get("ODDROAD_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def judged(page: Any, source: str) -> None:
    """Open a source and wait until it is judged."""
    page.get_by_role("button", name=source).click()
    page.get_by_text("all judged").wait_for()


def set_threshold(page: Any, words: str) -> None:
    page.get_by_label("In the threshold language").fill(words)
    page.get_by_role("button", name="Set", exact=True).click()


def test_a_threshold_is_set_and_what_it_marks_is_taken_away(page: Any, tmp_path: Path) -> None:
    judged(page, "drive.mp4")
    set_threshold(page, "no-alarms")
    playwright.expect(page.locator("#guarantee")).to_contain_text("95% confidence")
    set_threshold(page, "nonsense")
    playwright.expect(page.locator("#status")).to_contain_text("is not understood")
    set_threshold(page, "1.5")
    playwright.expect(page.locator("#legend")).to_contain_text("reported with min_hits 1")
    regions = page.locator("#regions button")
    playwright.expect(regions.first).to_be_visible()
    regions.first.click()
    playwright.expect(page.locator("#cursor")).to_contain_text("above the threshold")
    look(page, "look")
    with page.expect_download() as taken:
        page.get_by_role("link", name="Lines (JSONL)").click()
    lines = [json.loads(each) for each in Path(taken.value.path()).read_text().splitlines()]
    assert sum(len(each["regions"]) for each in lines if each["type"] == "frame") >= regions.count()
    page.locator("#hits").fill("8")
    playwright.expect(page.locator("#legend")).to_contain_text("min_hits 8")
    page.get_by_label("The difference").check()
    playwright.expect(page.locator("figcaption")).to_contain_text("orange where oddroad-default finds it rarer")
    look(page, "difference")


def test_a_region_of_interest_is_drawn_and_saved(page: Any) -> None:
    judged(page, "drive.mp4")
    set_threshold(page, "1.5")
    page.get_by_role("button", name="Draw it").click()
    canvas = page.locator("#pictures canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for x, y in ((0.02, 0.97), (0.3, 0.5), (0.7, 0.5), (0.97, 0.97)):
        canvas.click(position={"x": x * box["width"], "y": y * box["height"]})
    look(page, "drawing")
    page.get_by_role("button", name="Close it").click()
    corners = page.get_by_label("Corners as shares of width and height")
    assert len(corners.input_value().split()) == 4
    look(page, "interest")
    page.get_by_role("link", name="Calibrate").click()
    page.get_by_role("checkbox", name="drive.mp4").first.check()
    page.get_by_text("Within the region drawn under Look").wait_for()
    page.locator("#calibrateAt").fill("300")
    page.get_by_label("strike out drive.mp4").first.check()
    page.get_by_role("button", name="Write the new card").click()
    page.get_by_role("link", name="Save the detector").wait_for()
    assert "within a polygon" in page.locator("#calibrate").inner_text()
    look(page, "calibrate")


def test_pictures_are_dropped(page: Any, frames: list[Frame], tmp_path: Path) -> None:
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path, frame in zip(paths, frames, strict=False):
        write_image(path, frame.image)
    page.get_by_role("button", name="drive.mp4").wait_for()  # the scripts are there
    page.set_input_files("#files", [str(each) for each in paths])
    page.get_by_text("all judged: 2 of 2").wait_for()
    playwright.expect(page.locator("#where")).to_contain_text("one.png")


def test_the_keyboard_is_enough(page: Any) -> None:
    playwright.expect(page.get_by_role("button", name="drive.mp4")).to_be_visible()
    for _ in range(30):  # from the top of the page to the clip, by the tabulator alone
        page.keyboard.press("Tab")
        if page.locator(":focus").inner_text().startswith("drive.mp4"):
            break
    page.keyboard.press("Enter")
    page.get_by_text("all judged").wait_for()
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#where")).to_contain_text("drive.mp4#1")
    before = page.locator("#slider").input_value()
    page.keyboard.press("[")
    playwright.expect(page.locator("#slider")).not_to_have_value(before)
    page.locator("#pictures canvas").first.focus()
    page.keyboard.press("Shift+ArrowLeft")
    playwright.expect(page.locator("#cursor")).to_contain_text("score")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_view_is_accessible_and_fits(page: Any, theme: str, width: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(fetched(AXE))) as packed:
        part = packed.extractfile("package/axe.min.js")
        assert part is not None
        axe = part.read().decode()
    page.emulate_media(color_scheme=theme)
    page.reload()
    page.set_viewport_size({"width": width, "height": 740})
    judged(page, "drive.mp4")
    set_threshold(page, "1.5")
    page.add_script_tag(content=axe)
    for name in ("Look", "Calibrate", "Results", "Interface"):
        page.get_by_role("link", name=name, exact=True).click()
        section = page.locator(f"#{name.lower()}")
        playwright.expect(section.locator("h2").first).to_be_visible()
        if name == "Interface":
            section.locator("details").first.wait_for()
        found = page.evaluate("axe.run()")
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        look(page, f"{name.lower()}-{theme}-{width}")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word, and remembers which."""

    served: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Send a file; it counts once it is sent."""
        super().do_GET()
        self.served.append(self.path)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_without_a_server_and_without_a_network_it_finds_what_python_finds(
    browser: Any, frames: list[Frame], tmp_path: Path
) -> None:
    package = tmp_path / "runtime.tgz"
    package.write_bytes(fetched(ADDRESS, SHA512))
    build_site(["default", "default-fp32"], tmp_path / "site", package)
    handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    context = browser.new_context(accept_downloads=True)
    pages = opened(context, f"http://127.0.0.1:{serving.server_port}/")
    page = next(pages)
    page.get_by_text("drop files here").wait_for()
    needed, end = {"/detector1.onnx", "/detector2.onnx", "/runtime/ort-wasm-simd-threaded.wasm"}, time.monotonic() + 120
    while not needed <= set(Quiet.served) and time.monotonic() < end:
        page.wait_for_timeout(200)
    context.set_offline(True)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, frame in zip(paths, frames, strict=False):
        write_image(path, frame.image)
    page.set_input_files("#files", [str(each) for each in paths])
    page.get_by_text("all judged: 2 of 2").wait_for()
    for number, native in enumerate((Model(engine="onnxruntime"), Model("default-fp32", "onnxruntime"))):
        page.locator("#which input").nth(number).check()
        set_threshold(page, "1.5")
        look(page, f"static-{number}")
        with page.expect_download() as taken:
            page.get_by_role("button", name="Lines (JSONL)").click()
        lines = [json.loads(each) for each in Path(taken.value.path()).read_text().splitlines()]
        assert lines[0]["model_sha256"] == native.sha256
        found = {each["source"]: each["regions"] for each in lines if each["type"] == "frame"}
        assert sum(map(len, found.values())) > 0
        in_distribution = InDistribution.of(native.card, native.scores[0])
        for path in paths:
            regions, ours = find(native(read_image(path)), 1.5, None, in_distribution), found[path.name]
            assert [each["peak"] for each in ours] == pytest.approx([each.peak for each in regions], abs=1e-4)
            if number == 0:  # INT8 is the same to the bit; sums of float32 are taken in another order
                assert [each["segmentation"]["counts"] for each in ours] == [each.counts for each in regions]
    next(pages, None)
    serving.shutdown()
    serving.server_close()
