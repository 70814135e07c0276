"""A folder of saved maps as something to evaluate: .npy files, and the HDF5 files of SegmentMeIfYouCan's kit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oddroad.datasets import DATASETS
from oddroad.errors import InputError, pick
from oddroad.evaluation.predictors import Predictor
from oddroad.io.images import MAX_PIXELS
from oddroad.types import Sample

SMIYC_NAMES = {
    "road_anomaly21": ("AnomalyTrack-all", "AnomalyTrack-validation"),
    "road_obstacle21": ("ObstacleTrack-all", "ObstacleTrack-validation"),
    "fishyscapes_lost_and_found": (
        "FishyscapesLAF-val", "FishyLAFAnomaly-val", "LostAndFound-train", "LostAndFound-test",
    ),
    "lost_and_found": ("LostAndFound-test", "LostAndFound-testNoKnown"),
}  # fmt: skip
"""Folders that the SegmentMeIfYouCan kit writes a set's maps to, below the name of the method. The frames of
Fishyscapes Lost & Found go below the names of the splits of Lost and Found that they come from."""

ENDINGS = (".npy", ".hdf5", ".h5")

EXACT_IN_FLOAT32, EXACT_IN_FLOAT64 = 2**24, 2**53
"""Whole numbers up to here are exact in these types."""


def read_map(path: Path) -> np.ndarray:
    """A saved map (H, W): .npy, or an HDF5 file with a single array; floats as they are, whole numbers as floats.

    Raises:
        InputError: if it is damaged, or no map; says what the file holds.
    """
    try:
        arrays = {"": read_npy(path)} if path.suffix == ".npy" else read_arrays(path)
    except (ModuleNotFoundError, InputError):
        raise
    except Exception as error:  # NumPy and h5py raise errors of many kinds on damaged files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"'{path}' is no readable map, it is damaged or something else ({reason})") from None
    if len(arrays) != 1:
        names = ", ".join(list(arrays)[:4]) or "none"
        raise InputError(f"'{path}' holds {len(arrays)} arrays ({names}); expected a single map (H, W)")
    (values,) = arrays.values()
    flat = values.squeeze() if values.ndim > 2 else values
    if flat.ndim != 2 or 0 in flat.shape:
        raise InputError(f"'{path}' holds {values.dtype} of shape {values.shape}; expected one map (H, W)")
    return as_floats(flat, path)


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file; if its header says more than the file holds, no memory is taken for it.

    Raises:
        InputError: if it holds several arrays, or fewer numbers than it says.
        Exception: of many kinds, if it is damaged.
    """
    with path.open("rb") as opened:
        if opened.read(2) == b"PK":
            raise InputError(f"'{path}' holds several arrays or none (an .npz by its content); expected one map (H, W)")
        opened.seek(0)
        version = np.lib.format.read_magic(opened)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is not None:
            shape, _, kind = read(opened)
            there = path.stat().st_size - opened.tell()
            if min(shape, default=0) < 0 or kind.itemsize * math.prod(shape) > there:
                raise ValueError(f"its header says {shape} of {kind}, and {there} bytes follow")
        return np.load(path, allow_pickle=False)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an HDF5 file by their names."""
    import h5py

    found: dict[str, np.ndarray] = {}

    def look(name: str, each: object) -> None:
        if isinstance(each, h5py.Dataset) and each.shape is not None and each.ndim:
            if each.external or each.is_virtual:
                raise ValueError(f"the numbers of '{name}' lie in another file")
            if (each.size or 0) > MAX_PIXELS:
                raise ValueError(f"'{name}' has {each.size} numbers, more than the limit of {MAX_PIXELS}")
            found[name] = each[()]

    with h5py.File(path, "r") as opened:
        opened.visititems(look)
    return found


def as_floats(values: np.ndarray, path: Path) -> np.ndarray:
    """A map in a float type that holds each of its numbers.

    Raises:
        InputError: if there is no such type.
    """
    native = values.dtype.newbyteorder("=")
    if native in (np.float16, np.float32, np.float64):
        return values.astype(native, copy=False)
    if values.dtype.kind not in "biu":
        raise InputError(f"'{path}' holds {values.dtype}; expected float16, float32, float64 or whole numbers")
    largest = max(abs(int(values.max())), abs(int(values.min())))
    if largest > EXACT_IN_FLOAT64:
        raise InputError(f"'{path}' holds {values.dtype} up to {largest}, more than float64 resolves; save floats")
    return values.astype(np.float32 if largest <= EXACT_IN_FLOAT32 else np.float64)


def open_saved(folder: Path, scores: Sequence[str] = ()) -> Predictor:
    """A predictor for a folder of maps: ``[DATASET/][SCORE/]NAME.npy`` or ``.hdf5``, NAME being the image's stem.

    DATASET is a name of ours or of the SegmentMeIfYouCan kit; without it the maps serve any set. Maps that lie in no
    folder of a score are called after ``folder``. Hidden files are skipped.

    Raises:
        InputError: if the folder holds no map, or lacks a score.
    """
    places: dict[str, list[tuple[str, Path]]] = {}  # score -> (folder's name for the data set or "", folder)
    set_names = {*DATASETS, *(each for names in SMIYC_NAMES.values() for each in names)}
    for place in [folder, *sorted(each for each in folder.rglob("*") if each.is_dir())]:
        parts = place.relative_to(folder).parts
        if any(part.startswith(".") for part in parts) or not any(is_map(each) for each in place.iterdir()):
            continue
        sets = [part for part in parts if part in set_names]
        score = "/".join(part for part in parts if part not in set_names)
        places.setdefault(score, []).append((sets[-1] if sets else "", place))
    if not places:
        raise InputError(f"folder '{folder}' holds no maps; expected .npy or .hdf5 files named like the images")
    own = sorted(each for each in places if each)
    table = {each: places[each] + places.get("", []) for each in own} if own else {folder.resolve().name: places[""]}
    names = tuple(pick({each: each for each in table}, name, f"score in {folder}") for name in scores or table)

    def maps(dataset: str, sample: Sample, image: np.ndarray) -> dict[str, np.ndarray]:
        aliases = (dataset, *SMIYC_NAMES.get(dataset, ()))
        found = {}
        for name in names:
            homes = [place for alias in (*aliases, "") for label, place in table[name] if label == alias]
            files = [place / f"{sample.name}{ending}" for place in homes for ending in ENDINGS]
            chosen = next((each for each in files if each.is_file()), None)
            if chosen is None:
                where = ", ".join(f"'{each}'" for each in homes) or f"folders {', '.join(aliases)} of '{folder}'"
                raise InputError(
                    f"no map of frame '{sample.name}' of {dataset}; looked for {sample.name}.npy in {where}"
                )
            found[name] = read_map(chosen)
        return found

    return Predictor(
        name=folder.resolve().name, sha256="", scores=names, maps=maps, saved=True, file=str(folder.resolve())
    )


def is_map(path: Path) -> bool:
    """Whether a file is a map by its ending, and not hidden."""
    return path.suffix in ENDINGS and not path.name.startswith(".")
