"""Streams: with an end, broken off, come back, lost, and never there."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from videos import scene

from oddroad.errors import InputError, LostSource
from oddroad.io import live
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import Source, find_sources
from oddroad.io.video import read


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and keeps its log to itself."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address(clip: Path) -> Iterator[str]:
    """An HTTP address that streams the clip and ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(clip.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/{clip.name}"
    server.shutdown()
    server.server_close()


def test_a_stream_that_ends(address: str) -> None:
    assert len(list(read(find_sources([address])))) == 8


def test_a_stream_that_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot open the stream"):
        list(read([Source("stream", "http://127.0.0.1:9/none", "none")]))


class Motion(http.server.BaseHTTPRequestHandler):
    """A camera that speaks MJPEG and drops each connection after some frames."""

    frames = 5
    open_again = True
    connections = 0

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Send frames until the connection is dropped."""
        kind = type(self)
        kind.connections += 1
        if kind.connections > 1 and not kind.open_again:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(kind.frames):
            data = cv2.imencode(".jpg", scene(number))[1].tobytes()
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            self.wfile.write(head + data + b"\r\n")
            time.sleep(0.02)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Starts a camera and returns its address; waits are a hundred times shorter."""
    monkeypatch.setattr(live, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(live, "LONGEST_WAIT", 0.05)
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(**behaviour: object) -> str:
        handler = type("Handler", (Motion,), behaviour)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://admin:geheim77@127.0.0.1:{server.server_address[1]}/video.mjpg"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestLive:
    def test_it_connects_again_and_each_gap_is_recorded(self, camera: Callable[..., str]) -> None:
        report, found = ReadReport(), []
        for frame in read(find_sources([camera()]), report=report):
            found.append(frame)
            if len(found) == 12:
                break
        assert [each.index for each in found] == list(range(12))
        assert [(gap.index, gap.reason != "") for gap in report.gaps] == [(5, True), (10, True)]
        for gap in report.gaps:
            before, after = found[gap.index - 1], found[gap.index]
            assert gap.time == pytest.approx(before.time, abs=0.001)
            assert gap.seconds == pytest.approx(after.time - before.time, abs=0.001)

    def test_seconds_since_the_start_and_utc(self, camera: Callable[..., str]) -> None:
        began = time.time()
        found = [frame for frame, _ in zip(read(find_sources([camera()]), report=ReadReport()), range(5), strict=False)]
        assert found[0].time == 0
        assert np.diff([each.time for each in found]).min() > 0
        for each in found:
            assert began - 1 < each.utc < time.time() + 1
            assert each.utc - found[0].utc == pytest.approx(each.time, abs=0.05)

    def test_a_camera_that_stays_away_is_lost(self, camera: Callable[..., str]) -> None:
        report, found, brief = ReadReport(), [], ReadOptions(patience=0.3)
        with pytest.raises(LostSource, match=r"is lost after 5 frames: .* tried to connect again for 0.3 s") as caught:
            found.extend(read(find_sources([camera(open_again=False)]), report=report, options=brief))
        assert "geheim77" not in str(caught.value) + str(report)
        assert report.gaps[-1].seconds is None
        assert report.gaps[-1].index == 5

    def test_a_camera_that_is_lost_again_and_again_is_given_up(self, camera: Callable[..., str]) -> None:
        with pytest.raises(LostSource, match="is lost after"):
            list(read(find_sources([camera(frames=2)]), report=ReadReport(), options=ReadOptions(patience=0.5)))

    def test_a_connection_that_holds_starts_the_patience_anew(
        self, camera: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "STEADY", 0.05)
        found = []
        for frame in read(find_sources([camera(frames=10)]), report=ReadReport(), options=ReadOptions(patience=0.4)):
            found.append(frame)
            if len(found) == 50:
                break
        assert len(found) == 50  # over a second, with four gaps

    def test_without_patience_the_first_break_is_the_end(self, camera: Callable[..., str]) -> None:
        found = []
        with pytest.raises(LostSource):
            found.extend(read(find_sources([camera()]), report=ReadReport(), options=ReadOptions(patience=0)))

    def test_every_third_counts_over_the_gap(self, camera: Callable[..., str]) -> None:
        found = []
        for frame in read(find_sources([camera()]), 3, ReadReport()):
            found.append(frame.index)
            if len(found) == 4:
                break
        assert found == [0, 3, 6, 9]

    def test_waits_grow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        clock = [0.0]

        class Gone:
            finite, rate, undecoded = False, 10.0, 0

            def __init__(self, *given: object) -> None:
                if clock[0] > 0:
                    raise InputError("not there")
                self.ended: list[str] = []

            def pictures(self) -> Iterator[tuple[np.ndarray, str]]:
                yield scene(0), ""

            def convert(self, image: np.ndarray) -> np.ndarray:
                return image

            def close(self) -> None:
                pass

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            clock[0] += seconds

        monkeypatch.setattr(live, "Stream", Gone)
        monkeypatch.setattr(live.time, "sleep", sleep)
        monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
        with pytest.raises(LostSource):
            list(read([Source("stream", "rtsp://h/x", "x")], report=ReadReport()))
        assert waits == [0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8]  # in all less than 60 s

    def test_waits_begin_anew_after_a_frame(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        tries = iter([True, False, False, True, True] + [False] * 99)

        class Flapping:
            finite, rate, undecoded = False, 10.0, 0

            def __init__(self, *given: object) -> None:
                if not next(tries):
                    raise InputError("not there")
                self.ended: list[str] = []

            def pictures(self) -> Iterator[tuple[np.ndarray, str]]:
                yield scene(0), ""

            def convert(self, image: np.ndarray) -> np.ndarray:
                return image

            def close(self) -> None:
                pass

        monkeypatch.setattr(live, "Stream", Flapping)
        monkeypatch.setattr(live.time, "sleep", waits.append)
        with pytest.raises(LostSource):
            list(read([Source("stream", "rtsp://h/x", "x")], report=ReadReport(), options=ReadOptions(patience=7)))
        assert waits == [0.5, 1, 2, 0.5, 0.5, 1, 2, 4]
