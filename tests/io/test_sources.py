"""What words stand for: files by their contents, folders without labels and hidden files, streams without secrets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from oddroad.errors import InputError
from oddroad.io.reading import ReadReport
from oddroad.io.sources import find_sources
from oddroad.io.video import read


def save(path: Path, image: np.ndarray) -> Path:
    """Write an RGB, grey or RGBA image as it is."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    pixels = cv2.cvtColor(image, order[image.shape[2]]) if image.ndim == 3 else image
    assert cv2.imwrite(str(path), pixels)
    return path


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
