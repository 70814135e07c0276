"""What is evaluated: an exported file, or a folder of saved maps, each as a Predictor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oddroad.errors import InputError, pick
from oddroad.inference.model import Model
from oddroad.types import Sample

SMIYC_NAMES = {
    "road_anomaly21": ("AnomalyTrack-all", "AnomalyTrack-validation"),
    "road_obstacle21": ("ObstacleTrack-all", "ObstacleTrack-validation"),
    "fishyscapes_lost_and_found": ("FishyscapesLAF-val",),
    "lost_and_found": ("LostAndFound-test", "LostAndFound-testNoKnown"),
}
"""Folders that the SegmentMeIfYouCan kit writes a set's maps to, below the name of the method."""


@dataclass(frozen=True)
class Predictor:
    """Something that gives score maps.

    Attributes:
        name: of the model.
        sha256: of its file; of the names and bytes of a folder's maps as far as they were looked at: "".
        scores: names of the maps it is asked for.
        maps: (name of the data set, sample, image (H, W, 3) uint8 RGB) -> score -> (h, w) float.
        classes: image -> most likely class (H, W) and its probability (H, W) or None; None if it cannot tell.
        class_names: names of those classes.
        thresholds: the deployed threshold of a score, where there is one.
        saved: the maps come from files, so no image is needed.
        about: more to keep with the results.
    """

    name: str
    sha256: str
    scores: tuple[str, ...]
    maps: Callable[[str, Sample, np.ndarray], dict[str, np.ndarray]]
    classes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]] | None = None
    class_names: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    saved: bool = False
    about: Mapping[str, str] = field(default_factory=dict)


Opener = Callable[[str, Sequence[str], int], Predictor]
"""(model, scores or none for its own, threads) -> Predictor; a function of a module, for worker processes."""


def open_predictor(model: str, scores: Sequence[str] = (), threads: int = 0) -> Predictor:
    """A predictor for "default", an .onnx file, or a folder of saved maps.

    Raises:
        InputError: if there is no such thing, or it lacks a score.
    """
    return open_saved(Path(model), scores) if Path(model).is_dir() else open_onnx(model, scores, threads)


def open_onnx(model: str, scores: Sequence[str], threads: int) -> Predictor:
    """A predictor for an exported detector."""
    detector = Model(model, threads=threads or None)
    names = tuple(detector.pick_score(each) for each in scores) or detector.scores

    def classes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        wanted = ["classes", "msp"] if "msp" in detector.scores else ["classes"]
        try:
            found = detector.outputs(image, wanted)
        except InputError as error:
            raise InputError(
                f"{detector.path.name} has no output 'classes', so the classes of a set cannot be judged; "
                "export it with --classes, or pass the checkpoint"
            ) from error
        return found["classes"], 1 - found["msp"] if "msp" in found else None

    return Predictor(
        name=detector.path.stem,
        sha256=detector.sha256,
        scores=names,
        maps=lambda dataset, sample, image: detector.maps(image, names),
        classes=classes,
        class_names=detector.card.classes,
        thresholds=detector.card.thresholds,
        about={
            "engine": detector.engine,
            "upsample": detector.card.upsample,
            "weight_storage": detector.card.weight_storage,
        },
    )


def read_map(path: Path) -> np.ndarray:
    """A saved map: .npy, or an HDF5 file with a single array.

    Raises:
        InputError: if it is no array of two dimensions.
    """
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            import h5py

            with h5py.File(path, "r") as opened:
                found: list[np.ndarray] = []
                opened.visititems(lambda _, each: found.append(each[()]) if isinstance(each, h5py.Dataset) else None)
            values = found[0] if len(found) == 1 else np.zeros(0)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"'{path}' is no readable map ({' '.join(str(error).split())[:120]})") from None
    values = values.squeeze()
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"'{path}' holds {values.dtype} of shape {values.shape}; expected one map (H, W) of floats")
    return values


def open_saved(folder: Path, scores: Sequence[str] = ()) -> Predictor:
    """A predictor for a folder of maps: ``[DATASET/][SCORE/]NAME.npy`` or ``.hdf5``, NAME being the image's stem.

    Raises:
        InputError: if the folder holds no map, or lacks a score.
    """

    def homes(dataset: str) -> list[Path]:
        return [each for each in (folder / name for name in (dataset, *SMIYC_NAMES.get(dataset, ()))) if each.is_dir()]

    def holds(place: Path) -> bool:
        return any(each.suffix in (".npy", ".hdf5", ".h5") for each in place.iterdir())

    inside = [each for each in folder.rglob("*") if each.is_dir() and holds(each)] + ([folder] if holds(folder) else [])
    if not inside:
        raise InputError(f"folder '{folder}' holds no maps; expected .npy or .hdf5 files named like the images")
    known = {name for names in SMIYC_NAMES.items() for name in (names[0], *names[1])}
    own = {each.name: each.name for each in inside if each.parent != folder or each.name not in known}
    flat = (
        not own or own.keys() == {folder.name} or all(each.parent == folder and each.name in known for each in inside)
    )
    names = (folder.name,) if flat else tuple(sorted(own.keys() - {folder.name})) or (folder.name,)
    if scores:
        names = tuple(pick({each: each for each in names}, name, f"score in {folder}") for name in scores)

    def maps(dataset: str, sample: Sample, image: np.ndarray) -> dict[str, np.ndarray]:
        found = {}
        for name in names:
            places = [place / part for place in [*homes(dataset), folder] for part in ((name, "") if flat else (name,))]
            files = [place / f"{sample.name}{ending}" for place in places for ending in (".npy", ".hdf5", ".h5")]
            chosen = next((each for each in files if each.is_file()), None)
            if chosen is None:
                raise InputError(f"no map of frame '{sample.name}' of {dataset} in '{folder}'; looked for '{files[0]}'")
            found[name] = read_map(chosen)
        return found

    return Predictor(name=folder.name, sha256="", scores=names, maps=maps, saved=True)
