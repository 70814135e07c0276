"""Targets: pictures, label images and video."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
from fuzz.mutation import change_boxes, change_bytes, change_chunks_of_png, one_of
from fuzz.target import Differs, Target, same

PIXELS = 4_000_000
"""Limit that is given to the readers: what is larger is to be refused before it is decoded."""


def picture(size: tuple[int, int] = (40, 56)) -> np.ndarray:
    """A small picture with edges and slopes (H, W, 3) uint8."""
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.stack([x * 4 % 256, y * 6 % 256, (x + y) * 2 % 256], -1).astype(np.uint8)
    image[8:16, 10:30] = (200, 40, 20)
    return image


def picture_seeds() -> list[bytes]:
    """A picture in every format that is read."""
    from PIL import Image

    image = picture()
    found = [cv2.imencode(ending, image)[1].tobytes() for ending in
             (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm", ".jp2", ".avif", ".pam", ".ras", ".hdr")]  # fmt: skip
    found.append(cv2.imencode(".png", (image[..., 0].astype(np.uint16) * 16))[1].tobytes())
    found.append(cv2.imencode(".png", np.dstack([image, image[..., :1]]))[1].tobytes())
    found.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    numbers = image[..., 0] // 4
    for most in (63, 100, 255):
        found.append(b"P5\n# a comment\n56 40\n%d\n" % most + numbers.tobytes())
        found.append(b"P2\n56 40\n%d\n" % most + b" ".join(b"%d" % each for each in numbers.ravel()) + b"\n")
        found.append(b"P6\n56 40\n%d\n" % most + (image // 4).tobytes())
    found.append(cv2.imencode(".pbm", numbers)[1].tobytes())
    pillow = Image.fromarray(image)
    for form, options in (
        ("PNG", {"bits": 8}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
    ):
        out = io.BytesIO()
        (pillow.convert("P") if form == "PNG" else pillow).save(out, form, **options)
        found.append(out.getvalue())
    out, turned = io.BytesIO(), Image.Exif()
    turned[274] = 6
    pillow.save(out, "JPEG", exif=turned)
    return [*found, out.getvalue()]


def change_picture(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed picture; of PNGs the chunks, too."""
    data = rng.choice(seeds)
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        return change_chunks_of_png(rng, data)
    return change_bytes(rng, data, seeds)


def read_picture(data: bytes, folder: Path) -> None:
    """A picture as ``oddroad detect`` reads it."""
    from oddroad.io.kinds import kind_of
    from oddroad.io.reading import ReadOptions, ReadReport
    from oddroad.io.sources import Source
    from oddroad.io.video import read_source

    path = folder / "a.img"
    path.write_bytes(data)
    kind = kind_of(path)
    options = ReadOptions(max_pixels=PIXELS)
    frames = list(zip(range(60), read_source(Source("image", str(path), "a"), 1, ReadReport(), options), strict=False))
    frame = frames[0][1]
    if frame.image.shape[0] * frame.image.shape[1] > PIXELS:
        raise Differs("a picture above the limit was given out")
    if kind is None and not data[:1].isspace():
        raise Differs("a picture that can be read was taken for none")
    if frame.status == "ok":
        compare_with_pillow(data, frame.image)


def compare_with_pillow(data: bytes, ours: np.ndarray) -> None:
    """Hold a picture against Pillow: the same size; of 8 bits without transparency the same pixels, of JPEG nearly."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as opened:
            form, mode = opened.format, opened.mode
            bits = data[24] if form == "PNG" else 8
            turned = ImageOps.exif_transpose(opened)
            theirs = np.asarray(turned.convert("RGB"))
            clear = "transparency" not in opened.info
    except Exception:  # whatever Pillow says of a picture that it cannot read
        return
    # of a JPEG whose note of its orientation is damaged, one reader turns it and another does not
    same(f"size of a {form}", *(sorted(each.shape) if form == "JPEG" else each.shape for each in (ours, theirs)))
    if mode in ("L", "RGB", "P") and bits == 8 and clear and form in ("PNG", "PPM", "WEBP"):
        apart = np.abs(ours.astype(int) - theirs)
        allowed = {"WEBP": 3, "PPM": 1}.get(str(form), 0)  # numbers of another range are rounded
        if apart.max() > allowed and (form != "WEBP" or apart.mean() > 4):
            raise Differs(f"pixels of a {form} of mode {mode} are up to {apart.max()} apart")
    elif (
        form == "JPEG"
        and mode in ("L", "RGB")
        and ours.shape == theirs.shape
        and np.abs(ours.astype(int) - theirs).mean() > 6
    ):
        raise Differs(f"pixels of a JPEG of mode {mode} are {np.abs(ours.astype(int) - theirs).mean():.0f} apart")


def label_seeds() -> list[bytes]:
    """Label images: grey, palette, few bits, 16 bits, a palette BMP, a TIFF."""
    from PIL import Image

    numbers = (picture()[..., 0] // 16).astype(np.uint8)
    found = [
        cv2.imencode(".png", numbers)[1].tobytes(),
        cv2.imencode(".png", numbers.astype(np.uint16) * 9)[1].tobytes(),
    ]
    found += [cv2.imencode(".png", picture())[1].tobytes(), cv2.imencode(".bmp", numbers)[1].tobytes()]
    indexed = Image.fromarray(numbers).convert("P")
    for image, form, options in (
        (indexed, "PNG", {}), (indexed, "PNG", {"bits": 4}), (Image.fromarray(numbers > 4), "PNG", {}),
        (Image.fromarray(numbers), "TIFF", {}), (indexed, "GIF", {}),
    ):  # fmt: skip
        out = io.BytesIO()
        image.save(out, form, **options)
        found.append(out.getvalue())
    return found


def read_label_image(data: bytes, folder: Path) -> None:
    """A label image as an evaluation reads it; a grey PNG holds what OpenCV finds in it."""
    from oddroad.datasets.read import read_raw_label
    from oddroad.io.headers import damaged_png, end_of_png
    from oddroad.types import Sample

    path = folder / "a.png"
    path.write_bytes(data)
    label = read_raw_label(Sample("a", path, path, np.arange(256).astype(np.uint8)))
    whole = end_of_png(data) is not None and not damaged_png(data)  # of others OpenCV takes memory for what they claim
    if whole and data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:26] == b"\x08\x00":
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if theirs is not None and theirs.ndim == 2 and not np.array_equal(label, theirs):
            raise Differs("numbers of a grey PNG")


def video_seeds() -> list[tuple[str, bytes]]:
    """Short videos in the containers and codecs that cars record, with their endings."""
    import tempfile

    from videos import scene, write_video

    images = [scene(number, (48, 64)) for number in range(8)]
    found = []
    with tempfile.TemporaryDirectory() as made:
        for ending, options in (
            (".mp4", {}), (".mkv", {}), (".ts", {}), (".avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
            (".mp4", {"b_frames": 2, "group": 4}), (".webm", {"codec": "libvpx-vp9"}), (".mp4", {"codec": "mpeg4"}),
            (".h264", {"format": "h264"}), (".mp4", {"codec": "libsvtav1"}), (".flv", {"codec": "flv"}), (".mov", {}),
        ):  # fmt: skip
            path = write_video(Path(made) / f"a{ending}", images, **options)
            found.append((ending, path.read_bytes()))
        gif = Path(made) / "a.gif"
        from PIL import Image

        pictures = [Image.fromarray(each) for each in images]
        pictures[0].save(gif, save_all=True, append_images=pictures[1:])
        found.append((".gif", gif.read_bytes()))
    return found


def change_video(rng: Random, seeds: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """A changed video; of MP4 the boxes, too."""
    ending, data = rng.choice(seeds)
    if ending in (".mp4", ".mov"):
        return ending, one_of(change_boxes, change_bytes)(rng, data)
    return ending, change_bytes(rng, data, [each for _, each in seeds])


def read_video(given: tuple[str, bytes], folder: Path) -> None:
    """A video as ``oddroad detect`` reads it; a whole one has as many frames as OpenCV's own FFmpeg gives."""
    from oddroad.io.kinds import kind_of
    from oddroad.io.reading import ReadOptions, ReadReport
    from oddroad.io.sources import Source
    from oddroad.io.video import probe, read_source

    ending, data = given
    path = folder / f"a{ending}"
    path.write_bytes(data)
    kind_of(path)
    options, report = ReadOptions(max_pixels=PIXELS), ReadReport()
    source = Source("video", str(path), "a")
    probe(source, options)
    times: list[Any] = []
    for frame in read_source(source, 1, report, options):
        if frame.image.shape[0] * frame.image.shape[1] > PIXELS:
            raise Differs("a frame above the limit was given out")
        times.append(frame.time)
    if any(later < earlier for earlier, later in itertools.pairwise(times)):
        raise Differs("times go back")
    if not (report.skipped or report.damaged or report.lost or report.gaps or report.notes) and ending != ".gif":
        theirs = frames_by_opencv(path)
        if theirs > len(times):
            raise Differs(f"{ending}: {len(times)} whole frames and no word of damage; OpenCV gives {theirs}")


def frames_by_opencv(path: Path) -> int:
    """How many frames OpenCV reads."""
    video, count = cv2.VideoCapture(str(path)), 0
    while count < 200 and video.read()[0]:
        count += 1
    video.release()
    return count


PICTURES = {
    "image": lambda: Target("image", picture_seeds, change_picture, read_picture, "Pillow: size, pixels"),
    "label": lambda: Target("label", label_seeds, change_picture, read_label_image, "OpenCV: numbers of a grey PNG"),
    "video": lambda: Target("video", video_seeds, change_video, read_video, "OpenCV's FFmpeg: frames not left out"),
}
