"""Pictures and maps of the frames are found again, each its own."""

from __future__ import annotations

from pathlib import Path

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
