"""Pictures and maps of the frames are found again, each its own."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from oddroad.cli import main
from oddroad.errors import InputError
from oddroad.exchange import read_results
from oddroad.exchange.media import Media, saved_map
from oddroad.inference.model import Model


def test_maps_that_detect_saved_are_those_of_their_frames(media: Path, tmp_path: Path, model: Model) -> None:
    out = tmp_path / "found"
    words = ["detect", str(media), "--threshold", "0", "--save", "maps", "--out", str(out)]
    assert main.main(words) == 0
    frames = read_results(out).judged
    assert {each.source for each in frames} == {"drive.mp4", "town/a.jpg", "town/a.png"}
    for frame, image in Media(media).images(frames):
        heat = saved_map(frame)
        assert heat is not None
        assert heat.dtype == np.float32
        assert np.array_equal(heat, model(image))


def test_one_file_is_media_too(media: Path, results_file: Path) -> None:
    frames = [each for each in read_results(results_file).frames if each.source == "drive.mp4"]
    found = [(frame.index, round(float(image.mean()))) for frame, image in Media(media / "drive.mp4").images(frames)]
    assert [index for index, _ in found] == [0, 1, 2, 3]
    assert all(abs(mean - (40 * index + 20)) < 6 for index, mean in found if index is not None)


def test_maps_that_are_not_of_the_frame(results_file: Path) -> None:
    frame = read_results(results_file).frames[0]
    folder = results_file.parent / "maps" / "town"
    folder.mkdir(parents=True)
    assert saved_map(frame) is None
    np.save(folder / "a.npy", np.zeros((60, 79), np.float32))
    with pytest.raises(InputError, match=r"a.npy' has shape \(60, 79\); expected \(60, 80\)"):
        saved_map(frame)
    (folder / "a.npy").write_bytes(b"no map")
    with pytest.raises(InputError, match="is not a score map that can be read"):
        saved_map(frame)


def two_streams(path: Path) -> None:
    """A video of 3 frames with a dark stream and a brighter one."""
    with av.open(path, "w") as file:
        streams = [file.add_stream("libx264", rate=10) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 80, 60, "yuv420p"
        for number, stream in enumerate(streams):
            noise = np.random.default_rng(0).integers(0, 60, (60, 80, 3))
            for _ in range(3):
                picture = (20 + 120 * number + noise).astype(np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            file.mux(stream.encode())


def test_the_stream_that_was_judged_is_read_again(tmp_path: Path) -> None:
    two_streams(tmp_path / "both.mp4")
    for stream in (0, 1):
        out = tmp_path / f"found{stream}"
        words = [str(tmp_path / "both.mp4"), "--threshold", "0", "--save", "maps", "--out", str(out)]
        assert main.main(["detect", *words, "--stream", str(stream)]) == 0
        frames = read_results(out).judged
        images = [image for _, image in Media(tmp_path / "both.mp4").images(frames)]
        assert len(images) > 0
        assert all(abs(float(image.mean()) - (50 + 120 * stream)) < 10 for image in images)


def test_a_picture_that_has_become_unreadable(media: Path, results_file: Path) -> None:
    (media / "town" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    frame = read_results(results_file).frames[0]
    with pytest.raises(InputError, match=r"'town/a.jpg' of the results cannot be read from .*a.jpg': "):
        list(Media(media).images([frame]))
