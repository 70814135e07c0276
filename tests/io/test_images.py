"""Reading images: whole or cut off, of few or many bits, small or too large."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from videos import scene

from oddroad.datasets.read import read_numbers
from oddroad.errors import InputError
from oddroad.io.headers import has_pages
from oddroad.io.images import decode_image, read_image, write_image
from oddroad.io.reading import ReadReport
from oddroad.io.sources import find_sources
from oddroad.io.video import read


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

    @pytest.mark.parametrize("tail", [b"\0\0\0\x18ftypmp42", b"", b"\xff\xd8\xff\xe0 another"])
    def test_data_behind_the_end_of_a_jpeg(self, tmp_path: Path, tail: bytes) -> None:
        path = save(tmp_path / "a.jpg", scene(0))
        alone = read_image(path)
        for seed in range(6):  # by chance, random bytes hold what looks like the start of another scan
            more = np.random.default_rng(seed).integers(0, 256, 200_000, np.uint8).tobytes()
            (tmp_path / "b.jpg").write_bytes(path.read_bytes() + tail + more)
            assert np.array_equal(read_image(tmp_path / "b.jpg"), alone)

    def test_data_behind_the_end_of_a_png(self, tmp_path: Path, noise: np.ndarray) -> None:
        path = save(tmp_path / "a.png", noise)
        path.write_bytes(path.read_bytes() + b"#" * 100)
        assert np.array_equal(read_image(path), noise)

    def test_a_progressive_jpeg_with_restarts(self, tmp_path: Path) -> None:
        pixels = cv2.cvtColor(scene(0, (300, 400)), cv2.COLOR_RGB2BGR)
        options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4]
        data = cv2.imencode(".jpg", pixels, options)[1].tobytes()
        (tmp_path / "a.jpg").write_bytes(data + b"behind")
        assert read_image(tmp_path / "a.jpg").shape == (300, 400, 3)
        for part in (3, 5, 9):
            (tmp_path / "a.jpg").write_bytes(data[: len(data) * part // 10])
            with pytest.raises(InputError, match="cut off"):
                read_image(tmp_path / "a.jpg")

    @pytest.mark.parametrize(("progressive", "tail"), [(0, b""), (0, bytes(100)), (1, b"")])
    def test_jpegs_whole_by_their_markers_with_lost_parts_are_damaged(
        self, tmp_path: Path, noise: np.ndarray, progressive: int, tail: bytes
    ) -> None:
        data = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
        for name, each in (("a.jpg", data), ("b.jpg", data[: len(data) // 2] + tail + b"\xff\xd9")):
            (tmp_path / name).write_bytes(each)
        report = ReadReport()
        found = [(each.status, each.reason) for each in read(find_sources([str(tmp_path)]), report=report)]
        assert found == [("ok", ""), ("damaged", "parts of it could not be decoded")]
        assert report.damaged == {"b.jpg": 1}

    @pytest.mark.parametrize("where", [b"IHDR", b"IDAT"])
    def test_a_png_whose_check_sums_are_wrong_is_refused_before_its_decoder_prints(
        self, tmp_path: Path, noise: np.ndarray, where: bytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        data = bytearray(save(tmp_path / "a.png", noise).read_bytes())
        data[data.index(where) + 10] ^= 1
        with pytest.raises(InputError, match="is damaged: its check sums are wrong"):
            decode_image(bytes(data), "a.png", max_pixels=2**62)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("bits", [10, 12, 14, 16])
    @pytest.mark.parametrize("ending", [".png", ".tif"])
    def test_bits_in_files_of_sixteen(self, tmp_path: Path, bits: int, ending: str) -> None:
        image = scene(0)
        image[0, 0] = 255
        path = save(tmp_path / f"a{ending}", image.astype(np.uint16) << (bits - 8))
        notes: list[str] = []
        found = read_image(path, note=notes.append)
        assert np.array_equal(found, image)
        expected = [f"pictures of 16 bits with values up to {2**bits - 1} are read as {bits} bits"]
        assert notes == (expected if bits < 16 else [])

    def test_a_palette_is_read_as_its_colours(self, tmp_path: Path) -> None:
        from PIL import Image

        colours = Image.fromarray(scene(0)).quantize(16)
        colours.save(tmp_path / "a.png")
        assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(colours.convert("RGB")))

    def test_a_gamma_chunk_is_not_applied(self, tmp_path: Path, noise: np.ndarray) -> None:
        data = save(tmp_path / "a.png", noise).read_bytes()
        body = b"gAMA" + struct.pack(">I", 100_000)
        chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
        (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
        assert np.array_equal(read_image(tmp_path / "a.png"), noise)

    @pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".bmp", ".tif", ".ppm"])
    def test_pictures_above_the_limit_are_refused_before_they_are_decoded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
    ) -> None:
        path = save(tmp_path / f"a{ending}", scene(0, (60, 100)))
        assert read_image(path, max_pixels=6000).shape == (60, 100, 3)
        monkeypatch.setattr("oddroad.io.images.cv2.imdecode", lambda *given: pytest.fail("decoded"))
        with pytest.raises(InputError, match=r"has 100 x 60 = 0 megapixels, more than the limit of 0.005999"):
            read_image(path, max_pixels=5999)

    def test_a_small_file_of_a_huge_picture(self, tmp_path: Path) -> None:
        header = struct.pack(">IIBBBBB", 30_000, 20_000, 8, 2, 0, 0, 0)
        path = tmp_path / "a.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(100))
        with pytest.raises(InputError, match="30000 x 20000 = 600 megapixels, more than the limit of 100; scale"):
            read_image(path)

    def test_values_without_a_range_are_refused(self, tmp_path: Path) -> None:
        assert cv2.imwrite(str(tmp_path / "a.tif"), np.random.default_rng(0).random((20, 30, 3)).astype(np.float32))
        with pytest.raises(InputError, match="holds float32 values"):
            read_image(tmp_path / "a.tif")

    def test_an_animated_webp_is_said(self) -> None:
        from PIL import Image

        data = io.BytesIO()
        first, *rest = [Image.fromarray(scene(number)) for number in range(3)]
        first.save(data, "WEBP", save_all=True, append_images=rest, lossless=True)
        notes: list[str] = []
        assert decode_image(data.getvalue(), "a.webp", note=notes.append).shape == (96, 160, 3)
        assert notes == ["animated pictures are read as their first picture"]

    @pytest.mark.parametrize("pages", [1, 3])
    @pytest.mark.parametrize("compression", [None, "tiff_lzw"])
    def test_a_tiff_of_several_pages_is_said(self, pages: int, compression: str | None) -> None:
        from PIL import Image

        data = io.BytesIO()
        first, *rest = [Image.fromarray(scene(number)) for number in range(pages)]
        first.save(data, "TIFF", save_all=True, append_images=rest, compression=compression)
        notes: list[str] = []
        np.testing.assert_array_equal(decode_image(data.getvalue(), "a.tif", note=notes.append), scene(0))
        assert notes == ["TIFFs of several pages are read as their first page"] * (pages > 1)

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_smaller_copies_in_a_tiff_are_no_pages_and_broken_directories_end_the_count(self, order: str) -> None:
        def tiff(*kinds: int | None, after: int = 0) -> bytes:
            """Directories of one entry each: NewSubfileType of a value, or another tag for None."""
            data, at = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8), 8
            for number, kind in enumerate(kinds, start=1):
                at += 18
                entry = struct.pack(f"{order}HHHII", 1, 256 if kind is None else 254, 4, 1, kind or 0)
                data += entry + struct.pack(f"{order}I", at if number < len(kinds) else after)
            return data

        assert has_pages(tiff(None, 2))
        assert has_pages(tiff(0, 1, 0))
        assert not has_pages(tiff(None, 1, 1))
        assert not has_pages(tiff(None, after=8))  # a circle
        assert not has_pages(tiff(None, after=9999))
        assert not has_pages(tiff(None, 2)[:40])
        assert not has_pages(b"II*\0")
        assert not has_pages(b"RIFF")

    @pytest.mark.parametrize(("level", "reason"), [(90, "of one colour"), (2, "nearly black")])
    def test_a_picture_that_shows_nothing_is_damaged(self, tmp_path: Path, level: int, reason: str) -> None:
        path = save(tmp_path / "a.png", np.full((48, 64, 3), level, np.uint8))
        report = ReadReport()
        (found,) = read(find_sources([str(path)]), report=report)
        assert (found.status, found.index, report.damaged) == ("damaged", None, {"a.png": 1})
        assert reason in found.reason

    def test_a_dim_picture_is_not_damaged(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", (scene(0) // 4).astype(np.uint8))
        assert next(read(find_sources([str(path)]))).status == "ok"

    def test_no_library_writes_between_our_lines(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        for shape in ((20, 30), (20, 30, 3)):
            assert cv2.imwrite(str(tmp_path / "a.tif"), np.random.default_rng(0).random(shape).astype(np.float32))
            with pytest.raises(InputError):
                read_image(tmp_path / "a.tif")
        (tmp_path / "a.png").write_bytes(save(tmp_path / "b.png", scene(0)).read_bytes().replace(b"IDAT", b"IDAX"))
        with pytest.raises(InputError, match="is not an image"):
            read_image(tmp_path / "a.png")
        assert capfd.readouterr() == ("", "")


def test_a_picture_whose_size_is_not_known_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.hdr"
    assert cv2.imwrite(str(path), np.zeros((8, 8, 3), np.float32))
    with pytest.raises(InputError, match="does not say how large"):
        read_image(path)


def netpbm(kind: str, values: list[int], most: int) -> bytes:
    """A Netpbm picture of one row and one or three channels."""
    size = len(values) // (3 if kind in "P3 P6" else 1)
    head = f"{kind}\n# of a camera\n{size} 1\n{most}\n"
    if kind == "P7":
        head = f"P7\nWIDTH {size}\nHEIGHT 1\nDEPTH 1\nMAXVAL {most}\nTUPLTYPE GRAYSCALE\nENDHDR\n"
    if kind in ("P2", "P3"):
        return (head + " ".join(map(str, values)) + "\n").encode()
    return head.encode() + np.array(values, ">u2" if most > 255 else np.uint8).tobytes()


class TestTheRangeOfNetpbmPictures:
    """Their headers say which value is white."""

    @pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6", "P7"])
    @pytest.mark.parametrize("most", [1, 15, 100, 255, 1023, 4095])
    def test_the_largest_value_is_white(self, kind: str, most: int) -> None:
        values = [0, most // 3, most // 2, most]
        given = np.repeat(values, 3).tolist() if kind in ("P3", "P6") else values
        found = decode_image(netpbm(kind, given, most), "a")
        np.testing.assert_allclose(found[0, :, 0], np.array(values) * 255 / most, atol=0.51)
        assert (found == found[..., :1]).all()

    def test_a_dark_picture_stays_dark(self) -> None:
        assert decode_image(netpbm("P5", [0, 100, 200], 4095), "a").max() == 12

    @pytest.mark.parametrize("kind", ["P2", "P5"])
    @pytest.mark.parametrize("most", [18, 100, 255, 300])
    def test_numbers_of_a_label_are_not_scaled(self, kind: str, most: int, tmp_path: Path) -> None:
        path = tmp_path / "a.pgm"
        path.write_bytes(netpbm(kind, [0, 7, 18], most))
        assert read_numbers(path).tolist() == [[0, 7, 18]]

    def test_a_comment_behind_the_header_is_no_picture(self) -> None:
        with pytest.raises(InputError, match="its header does not say how large it is"):
            decode_image(b"P5\n2 1\n255#x\n" + bytes(4), "a")


@pytest.mark.parametrize("ending", [".pam", ".ras", ".ppm", ".jp2"])
def test_a_limit_holds_for_rare_formats_too(ending: str) -> None:
    data = cv2.imencode(ending, scene(0, (64, 96)))[1].tobytes()
    assert decode_image(data, "a").shape == (64, 96, 3)
    with pytest.raises(InputError, match="96 x 64 = 0 megapixels, more than the limit"):
        decode_image(data, "a", max_pixels=100)
