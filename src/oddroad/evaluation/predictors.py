"""What is evaluated: an exported file, or a folder of saved maps, each as a Predictor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np

from oddroad.calibration.thresholds import threshold_for
from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.types import Sample


@dataclass(frozen=True)
class Predictor:
    """Something that gives score maps.

    Attributes:
        name: of the model.
        sha256: of its file; "" for a folder of maps, whose own hashes are taken as they are read.
        scores: names of the maps it is asked for.
        maps: (name of the data set, sample, image (H, W, 3) uint8 RGB) -> score -> (h, w) float16, 32 or 64.
        classes: image -> most likely class (H, W) and its probability (H, W) or None; None if it cannot tell.
        class_names: names of those classes.
        card: of an exported detector, with its deployed thresholds and its calibration.
        file: absolute path of the model or of the folder of maps.
        saved: the maps come from files; the image is only looked at for its size.
        about: more that decides on the maps and is kept with the results: engine, options, code.
    """

    name: str
    sha256: str
    scores: tuple[str, ...]
    maps: Callable[[str, Sample, np.ndarray], dict[str, np.ndarray]]
    classes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]] | None = None
    class_names: tuple[str, ...] = ()
    card: Card | None = None
    file: str = ""
    saved: bool = False
    about: Mapping[str, str] = field(default_factory=dict)

    def threshold(self, score: str, wanted: str | None, min_hits: int | None = None) -> float | None:
        """The threshold of a score: as asked for in the threshold language, or the deployed one, or None.

        Raises:
            InputError: if it is not understood, or only a calibrated detector could look it up.
        """
        if wanted is None:
            return self.card.thresholds.get(score) if self.card is not None else None
        if self.card is not None:
            return threshold_for(self.card, wanted, score, min_hits).value
        try:
            value = float(wanted)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"threshold '{wanted}': only a calibrated .onnx file knows its false alarms; {self.name} needs a number"
            )
        return value


Opener = Callable[[str, Sequence[str], int], Predictor]
"""(model, scores or none for its own, threads) -> Predictor; a function of a module, for worker processes."""


def open_predictor(model: str, scores: Sequence[str] = (), threads: int = 0) -> Predictor:
    """A predictor for "default", an .onnx file, or a folder of saved maps.

    Raises:
        InputError: if there is no such thing, or it lacks a score.
    """
    if Path(model).is_dir():
        from oddroad.evaluation.saved_maps import open_saved

        return open_saved(Path(model), scores)
    return open_onnx(model, scores, threads)


def open_onnx(model: str, scores: Sequence[str], threads: int) -> Predictor:
    """A predictor for an exported detector.

    Raises:
        InputError: if the file cannot be used, or lacks a score.
    """
    detector = Model(model, threads=threads or None)
    names = tuple(detector.pick_score(each) for each in scores) or detector.scores

    def classes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        if "classes" not in detector.output_names:
            raise InputError(
                f"{detector.path.name} has no output 'classes', so the classes of a set cannot be judged; "
                "export it with --classes, or pass the checkpoint"
            )
        found = detector.outputs(image, ["classes", "msp"] if "msp" in detector.scores else ["classes"])
        return found["classes"], 1 - found["msp"] if "msp" in found else None

    return Predictor(
        name=detector.path.stem,
        sha256=detector.sha256,
        scores=names,
        maps=lambda dataset, sample, image: detector.maps(image, names),
        classes=classes,
        class_names=detector.card.classes,
        card=detector.card,
        file=str(detector.path.resolve()),
        about={
            "engine": detector.engine,
            "engine_version": import_module(detector.engine).__version__,
            "precision": detector.precision,
            "upsample": detector.card.upsample,
            "weight_storage": detector.card.weight_storage,
        },
    )
