"""Reading images, folders, videos and streams; reading ahead."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from oddroad.concurrency import prefetch
from oddroad.errors import InputError
from oddroad.io.images import read_image, write_image
from oddroad.io.reading import ReadReport
from oddroad.io.sources import Source, find_sources
from oddroad.io.video import probe, read
from oddroad.io.video_writer import VideoWriter
from oddroad.types import Frame


def save(path: Path, image: np.ndarray) -> Path:
    """Write an RGB, grey or RGBA image as it is."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    pixels = cv2.cvtColor(image, order[image.shape[2]]) if image.ndim == 3 else image
    assert cv2.imwrite(str(path), pixels)
    return path


class TestImages:
    def test_png_comes_back_as_it_was(self, tmp_path: Path, noise: np.ndarray) -> None:
        assert np.array_equal(read_image(save(tmp_path / "a.png", noise)), noise)

    def test_grey_is_repeated(self, tmp_path: Path, noise: np.ndarray) -> None:
        grey = noise[..., 0]
        assert np.array_equal(read_image(save(tmp_path / "a.png", grey)), grey[..., None].repeat(3, 2))

    def test_alpha_is_dropped(self, tmp_path: Path, noise: np.ndarray) -> None:
        alpha = np.full((*noise.shape[:2], 1), 128, np.uint8)
        assert np.array_equal(read_image(save(tmp_path / "a.png", np.concatenate([noise, alpha], 2))), noise)

    def test_sixteen_bits_are_reduced(self, tmp_path: Path, noise: np.ndarray) -> None:
        wide = noise.astype(np.uint16) * 257
        assert np.abs(read_image(save(tmp_path / "a.png", wide)).astype(int) - noise).max() <= 1

    def test_exif_orientation_turns_the_image(self, tmp_path: Path, noise: np.ndarray) -> None:
        path = save(tmp_path / "a.jpg", noise)
        upright = read_image(path)
        exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
        assert np.array_equal(read_image(path), np.rot90(upright, -1))

    @pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
    def test_a_cut_image_is_refused(self, tmp_path: Path, noise: np.ndarray, ending: str) -> None:
        path = save(tmp_path / f"a{ending}", noise)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(InputError, match=r"is cut off: its last part is missing"):
            read_image(path)

    def test_a_thumbnail_does_not_hide_a_cut(self, tmp_path: Path, noise: np.ndarray) -> None:
        path = save(tmp_path / "a.jpg", noise)
        data = path.read_bytes()
        thumbnail = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
        path.write_bytes(data[:2] + thumbnail + data[2:-500])
        with pytest.raises(InputError, match="cut off"):
            read_image(path)

    @pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"hello" * 50, "is not an image")])
    def test_what_is_no_image_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_image(path)

    def test_write_image_round_trip(self, tmp_path: Path, noise: np.ndarray) -> None:
        write_image(tmp_path / "sub" / "a.png", noise)
        assert np.array_equal(read_image(tmp_path / "sub" / "a.png"), noise)


class TestSources:
    def test_a_folder_is_read_in_order_and_deep(self, tmp_path: Path, noise: np.ndarray) -> None:
        for name in ("b.png", "a.jpg", "deep/c.webp", "notes.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("") if name.endswith("txt") else save(tmp_path / name, noise)
        assert [each.name for each in find_sources([str(tmp_path)])] == ["a.jpg", "b.png", "deep/c.webp"]

    def test_label_folders_are_left_out(self, tmp_path: Path, noise: np.ndarray) -> None:
        (tmp_path / "x.labels").mkdir()
        save(tmp_path / "x.png", noise)
        save(tmp_path / "x.labels" / "labels_semantic.png", noise)
        assert [each.name for each in find_sources([str(tmp_path)])] == ["x.png"]

    def test_a_glob(self, tmp_path: Path, noise: np.ndarray) -> None:
        for name in ("a1.png", "a2.png", "b.png"):
            save(tmp_path / name, noise)
        assert [each.name for each in find_sources([str(tmp_path / "a*.png")])] == ["a1.png", "a2.png"]

    def test_numbers_are_cameras_and_addresses_are_streams(self) -> None:
        found = find_sources(["0", "rtsp://localhost:1/live"])
        assert [(each.kind, each.moving) for each in found] == [("camera", True), ("stream", True)]

    def test_names_stay_unique(self, tmp_path: Path, noise: np.ndarray) -> None:
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            save(tmp_path / folder / "a.png", noise)
        names = [each.name for each in find_sources([str(tmp_path / "one"), str(tmp_path / "two")])]
        assert names == ["a.png", "2_a.png"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ([], "nothing to read"),
            (["missing.jpg"], "no such file or folder: 'missing.jpg'"),
            (["missing*.jpg"], "nothing matches 'missing"),
        ],
    )
    def test_what_is_not_there(self, given: list[str], message: str) -> None:
        with pytest.raises(InputError, match=message):
            find_sources(given)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no image and no video"):
            find_sources([str(tmp_path)])

    def test_bad_images_are_counted_not_fatal(self, tmp_path: Path, noise: np.ndarray) -> None:
        save(tmp_path / "a.png", noise)
        (tmp_path / "b.png").write_bytes(b"nothing")
        report = ReadReport()
        assert [each.name for each in read(find_sources([str(tmp_path)]), report=report)] == ["a.png"]
        assert len(report.skipped) == 1
        assert report.named == []
        with pytest.raises(InputError):
            list(read(find_sources([str(tmp_path)])))

    def test_a_camera_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match="no camera 63"):
            list(read(find_sources(["63"])))


class TestVideo:
    def test_every_frame_in_order_with_its_time(self, clip: Path, frames: list[Frame]) -> None:
        found = list(read(find_sources([str(clip)])))
        assert [each.name for each in found] == [f"drive.mp4#{number}" for number in range(8)]
        assert [each.time for each in found] == pytest.approx([number / 10 for number in range(8)], abs=0.01)
        assert all(np.abs(a.image.astype(int) - b.image).mean() < 8 for a, b in zip(found, frames, strict=True))
        assert probe(find_sources([str(clip)])[0]) == (8, 10.0)

    def test_every_third(self, clip: Path) -> None:
        found = list(read(find_sources([str(clip)]), every=3))
        assert [each.name.partition("#")[2] for each in found] == ["0", "3", "6"]

    def test_a_broken_frame_in_the_middle_is_skipped_and_counted(self, clip: Path) -> None:
        data = bytearray(clip.read_bytes())
        keyless = [at for at in range(len(data) - 4) if data[at : at + 4] == b"\0\0\x01\xb6"]
        assert len(keyless) == 8
        data[keyless[4] : keyless[5]] = bytes(keyless[5] - keyless[4])
        clip.write_bytes(data)
        report = ReadReport()
        found = list(read(find_sources([str(clip)]), report=report))
        assert len(found) == 7
        assert report.skipped == ["drive.mp4: 1 of 8 frames could not be decoded"]

    def test_a_video_without_its_end(self, clip: Path) -> None:
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        with pytest.raises(InputError, match="is not a video that can be read"):
            list(read(find_sources([str(clip)])))

    def test_odd_sizes_can_be_written(self, tmp_path: Path) -> None:
        video = VideoWriter(tmp_path / "odd.mp4", 5)
        video.write(np.full((91, 121, 3), 200, np.uint8))
        video.write(np.full((50, 60, 3), 200, np.uint8))
        video.close()
        assert [each.image.shape for each in read(find_sources([str(tmp_path / "odd.mp4")]))] == [(90, 120, 3)] * 2


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


class TestAhead:
    def test_order_is_kept(self) -> None:
        assert list(prefetch(iter(range(100)), depth=3)) == list(range(100))

    def test_an_error_of_the_producer_arrives_after_what_came_before(self) -> None:
        def items() -> Iterator[int]:
            yield 1
            yield 2
            raise InputError("broken")

        seen: list[int] = []
        with pytest.raises(InputError, match="broken"):
            seen.extend(prefetch(items()))
        assert seen == [1, 2]

    def test_an_error_of_the_reader_stops_the_producer(self) -> None:
        closed = threading.Event()

        def endless() -> Iterator[int]:
            try:
                number = 0
                while True:
                    yield number
                    number += 1
            finally:
                closed.set()

        def consume() -> None:
            for each in prefetch(endless(), depth=2):
                if each == 3:
                    raise RuntimeError("reader")

        with pytest.raises(RuntimeError, match="reader"):
            consume()
        assert closed.wait(5)
        assert not any(each.name == "read-ahead" for each in threading.enumerate())

    def test_it_runs_ahead_but_not_far(self) -> None:
        made: list[int] = []

        def items() -> Iterator[int]:
            for number in range(50):
                made.append(number)
                yield number

        reader = prefetch(items(), depth=4)
        assert next(reader) == 0
        deadline = time.monotonic() + 5
        while len(made) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(made) == 6  # one taken, four waiting, one in hand
        reader.close()
