"""A portable file on to a runtime's own: converted in an environment of its own, compared, kept only if it is right.

The device's map is compared with ONNX Runtime's on ten real pictures, and both are judged by AP on a real drive with
rendered things on its road, whose truth is known.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from oddroad.calibration.data import own_data
from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.files import sha256_of, write_whole
from oddroad.inference.common import read_head
from oddroad.inference.host_resize import HostResize, enlarged
from oddroad.inference.onnxruntime_engine import onnx_session
from oddroad.learn.export.environments import InEnvironment, find_environment
from oddroad.learn.export.portable import beside, export_portable
from oddroad.learn.export.targets import check_target
from oddroad.metrics import PixelMetric
from oddroad.synthetic.motorway_drive import motorway_drive

PICTURES = 10
"""Pictures that maps are compared on, and others as many that INT8 ranges are taken from."""


STEP = 8
"""Of the drive every eighth frame is taken."""


LIMITS = {"float32": 0.01, "float16": 0.03, "int8": 0.25}
"""Largest mean difference of a device's maps to ONNX Runtime's, as a share of their standard deviation."""


MOST_COST = {"float32": 0.002, "float16": 0.005, "int8": 0.02}
"""AP, as a fraction, that a device may lose."""


@dataclass(frozen=True)
class Comparison:
    """How a device's maps compare with ONNX Runtime's.

    Attributes:
        largest: largest difference of a pixel, in the score's unit.
        deviation: mean difference, as a share of the standard deviation of ONNX Runtime's maps.
        ap: average precision of the device on the drive whose truth is known, a fraction.
        ap_onnxruntime: that of ONNX Runtime on the same.
        speed: median time of ONNX Runtime over that of the device, called in turn, one thread each.
    """

    largest: float
    deviation: float
    ap: float
    ap_onnxruntime: float
    speed: float

    def refusal(self, form: str) -> str:
        """Why the file is not kept; "" if it is right. Numbers that are none are wrong."""
        if not self.deviation <= LIMITS[form]:
            return (
                f"gives other maps: off by {self.deviation:.3g} of their standard deviation on average, "
                f"{LIMITS[form]:g} allowed; by {self.largest:.3g} at most"
            )
        if not self.ap >= self.ap_onnxruntime - MOST_COST[form]:
            return f"costs AP: {100 * self.ap:.1f} instead of {100 * self.ap_onnxruntime:.1f}"
        return ""


def pictures_of(data: Sequence[str], count: int, shift: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Evenly spread pictures with their labels, if known: the user's, or the motorway drive's.

    Args:
        data: files, folders and videos; none for the drive.
        count: how many.
        shift: 0 or 1; pictures of one do not occur in the other.
    """
    if data:
        found = [image for image, _ in own_data(data, 2 * count, False).pairs()]
        chosen = found[shift::2][:count] or found[:count]
        if not chosen:
            raise InputError(f"no picture in '{' '.join(data)}'")
        return [(image, None) for image in chosen]
    frames = list(motorway_drive(seed=shift, frames=STEP * count))[shift * STEP // 2 :: STEP]
    return [(each.image, each.label) for each in frames]


def compare_device(worker: InEnvironment, portable: Path, card: Card, data: Sequence[str], folder: Path) -> Comparison:
    """Run the opened device and ONNX Runtime in turn on pictures, one thread each."""
    name, resize = card.scores[0], HostResize.of(card, [])
    session = onnx_session(portable, 1)
    worst, off, spreads, spent = 0.0, [], [], ([], [])
    theirs, ours = PixelMetric(), PixelMetric()
    compared = pictures_of(data, PICTURES, 0)
    judged = compared if not data else pictures_of((), PICTURES, 0)
    images = [*compared, *(judged if data else ())]
    for number, (image, label) in enumerate(images):
        pixels = resize.before(image[None])
        np.save(folder / "image.npy", pixels)
        seconds = worker("compute", image=str(folder / "image.npy"), result=str(folder / "result.npz"))
        found = next(iter(np.load(folder / "result.npz").values()))
        wanted, took = timed(lambda pixels=pixels: session.run([name], {"image": pixels})[0])
        if found.shape != wanted.shape:
            raise InputError(f"it gives {name} as {found.shape}; expected {wanted.shape}")
        spent[0].append(took)
        spent[1].append(seconds)
        if number < len(compared):
            difference = np.abs(found.astype(np.float64) - wanted)
            worst = max(worst, float(difference.max()) if np.isfinite(difference).all() else np.inf)
            off.append(float(difference.mean()))
            spreads.append(float(wanted.std()))
        if label is not None and np.isfinite(found).all():
            theirs.add(enlarged(found[0], image.shape[:2])[0], label, str(number))
            ours.add(enlarged(wanted[0], image.shape[:2])[0], label, str(number))
    known = np.isfinite(worst)
    return Comparison(
        worst,
        float(np.mean(off) / max(float(np.mean(spreads)), 1e-12)) if known else np.inf,
        theirs.result()["ap"] if known else np.nan,
        ours.result()["ap"] if known else np.nan,
        float(np.median(spent[0]) / np.median(spent[1])),
    )


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its seconds."""
    import time

    began = time.perf_counter()
    found = call()
    return found, time.perf_counter() - began


def export_for(
    name: str,
    source: Path,
    out: Path,
    form: str = "float32",
    data: Sequence[str] = (),
    python: Path | None = None,
    install: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> dict[str, Any]:
    """Write a folder with a runtime's own files and ``detector.json``, whole, compared and right, or nothing.

    Args:
        name: key in TARGETS.
        source: an oddroad float32 file of one size, portable or not.
        out: the folder to write; must not exist.
        form: one of the target's forms, such as "int8".
        data: pictures, folders and videos to compare on, and to take INT8 ranges from; none for a drive of our own.
        python: interpreter of an environment that has the packages.
        install: whether an environment of its own may be made.
        say: is told what is done.

    Returns:
        what ``detector.json`` says of the device: runtime, versions, form, comparison.

    Raises:
        InputError: if this machine cannot, there is no environment, the converter fails, or the maps are wrong.
    """
    target = check_target(name, form)
    if out.exists():
        raise InputError(f"'{out}' is there already; give the name of a new folder")
    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    card, _ = read_head(source)
    interpreter = find_environment(name, target, python, install, say)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as workplace:
        made, passed = Path(workplace) / "made", Path(workplace)
        made.mkdir()
        portable = source
        if not card.portable:
            portable = passed / "portable.onnx"
            card = export_portable(source, portable)
        resize = HostResize.of(card, [])
        ranges = (
            [resize.before(image[None])[0] for image, _ in pictures_of(data, PICTURES, 1)] if form == "int8" else []
        )
        np.save(passed / "pictures.npy", np.stack(ranges) if ranges else np.empty((0, 3, *(card.size or (0, 0)))))
        model = onnx.load(portable)
        names = [each.name for each in model.graph.output]
        with InEnvironment(target, interpreter) as worker:
            packages = [each.split("==")[0] for each in target.PACKAGES[:2]]
            node = dict(each.rsplit("@", 1) for each in getattr(target, "NODE_PACKAGES", ()))
            versions = node or worker("versions", names=packages)
            say(f"converting to {name} {form} with {', '.join(f'{k} {v}' for k, v in versions.items())}")
            paths = {"portable": str(portable.resolve()), "folder": str(made.resolve())}
            worker("convert", form=form, pictures=str(passed.resolve() / "pictures.npy"), **paths)
            worker("open", folder=paths["folder"], outputs=names, threads=1)
            comparison = compare_device(worker, portable, card, data, passed)
        if why := comparison.refusal(form):
            raise InputError(f"{name} {form} {why}; nothing was written")
        kept = [each for each in sorted(made.iterdir()) if each.name.startswith("detector.")]
        device = {
            "runtime": name, "versions": versions, "form": form, "files": {e.name: sha256_of(e) for e in kept},
            "compared_with": f"onnxruntime {metadata.version('onnxruntime')}",
            "pictures": " ".join(data) or "motorway drive with rendered things", **vars(comparison),
        }  # fmt: skip
        about = beside(model, card, kept[0].name, sha256_of(kept[0])) | {"device": device}
        finished = passed / "finished"
        finished.mkdir()
        for each in kept:
            shutil.move(each, finished / each.name)
        write_whole(finished / "detector.json", json.dumps(about, indent=1).encode(), "card")
        finished.replace(out)
    return device
