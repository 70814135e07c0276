"""Reading images: whole or cut off, of few or many bits, small or too large."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from oddroad.errors import InputError
from oddroad.io.images import read_image, write_image


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
