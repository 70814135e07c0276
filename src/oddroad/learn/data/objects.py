"""Folders of objects to paste: outlined COCO pictures, or cut-outs with an alpha channel, each with its share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from oddroad.datasets.samples import visible
from oddroad.errors import InputError
from oddroad.learn.data.cutouts import HELD_OUT, CutOut, coco_objects
from oddroad.types import CITYSCAPES_CLASSES, IGNORE, OUTLIER

DROPPED = frozenset({
    # a building, a fence, a pole or a vehicle: known in a road scene
    "barn", "beacon", "bell_cote", "bookshop", "breakwater", "castle", "chainlink_fence", "church", "cinema",
    "cliff_dwelling", "dam", "drilling_platform", "flagpole", "forklift", "greenhouse", "monastery", "mosque",
    "obelisk", "palace", "planetarium", "plow", "prison", "shoe_shop", "suspension_bridge", "thatch", "triumphal_arch",
    "water_tower", "megalith", "pedestal", "gas_pump", "crane", "jeep", "solar_dish", "radio_telescope", "stage",
    # of a bed, a table or a bench only a part
    "bed", "dining_table",
})  # fmt: skip
"""Names of ``objects/train`` that are not pasted, after a look at the contact sheets."""

SUFFIXES = (".webp", ".png")


class CutOutFiles(Sequence[CutOut]):
    """Pictures with an alpha channel, decoded when they are asked for; the class is the name before the first ``-``.

    Args:
        folder: holds them, at any depth.
        dropped: classes that are left out.

    Raises:
        InputError: if there are none.
    """

    def __init__(self, folder: Path, dropped: frozenset[str] = DROPPED):
        paths = [each for each in visible(folder.rglob("*"), folder) if each.suffix in SUFFIXES]
        self.paths = [each for each in paths if kind_of(each) not in dropped]
        if not self.paths:
            raise InputError(f"no objects below '{folder}'; expected pictures with an alpha channel, .webp or .png")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> CutOut:  # pyright: ignore[reportIncompatibleMethodOverride]
        path = self.paths[index]
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            raise InputError(f"'{path}' is no picture with an alpha channel; leave it out of the folder of objects")
        alpha = picture[..., 3].astype(np.float32) / 255
        image = cv2.cvtColor(picture[..., :3], cv2.COLOR_BGR2RGB)
        return CutOut(image, alpha, OUTLIER, kind_of(path))


def kind_of(path: Path) -> str:
    """The class of a cut-out's file: its name before the first ``-``."""
    return path.stem.partition("-")[0]


def relabelled(cutout: CutOut, here: Mapping[str, int]) -> CutOut:
    """An object with the number of its class among those of the training.

    Args:
        cutout: labelled with Cityscapes' trainId, or OUTLIER.
        here: name of a class -> its number; an object of a class of Cityscapes that is not among them gets IGNORE.
    """
    if cutout.kind in here:
        return replace(cutout, label=here[cutout.kind])
    if cutout.label == OUTLIER:
        return cutout
    return replace(cutout, label=here.get(CITYSCAPES_CLASSES[cutout.label].replace(" ", "_"), IGNORE))


class Objects:
    """The objects of some folders, drawn from each by its share.

    Args:
        root: holds the folders.
        shares: folder below the root -> how often it is drawn from, in any unit.
        held_out: give those of ``HELD_OUT`` instead of all others; a folder of cut-outs gives all that it has.
        names: the classes of the training; an object that is called like one of them is no outlier.

    Attributes:
        classes: objects of closed-set classes, to paste with their label.
        textures: pictures of the outlined objects, for grain.

    Raises:
        InputError: if a folder has no objects.
    """

    def __init__(
        self,
        root: Path,
        shares: Sequence[tuple[str, float]],
        held_out: bool = False,
        names: Sequence[str] = CITYSCAPES_CLASSES,
    ):
        here = {each.replace(" ", "_"): at for at, each in enumerate(names)}
        self.outliers: list[Sequence[CutOut]] = []
        self.classes: list[CutOut] = []
        self.textures: list[np.ndarray] = []
        for folder, _ in shares:
            if (root / folder / "labels").is_dir():
                found = [relabelled(each, here) for each in coco_objects(root / folder)]
                self.outliers.append([o for o in found if o.label == OUTLIER and (o.kind in HELD_OUT) == held_out])
                self.classes += [each for each in found if each.label not in (OUTLIER, IGNORE)]
                self.textures += [o.image for o in found if o.kind not in HELD_OUT and min(o.image.shape[:2]) > 24]
            else:
                self.outliers.append(CutOutFiles(root / folder, DROPPED | here.keys()))
        weights = np.array([share for _, share in shares], np.float64)
        self.chances = np.cumsum(weights / weights.sum())

    def draw(self, rng: np.random.Generator) -> CutOut:
        """One outlier object: a folder by its share, then any of its objects."""
        at = int(np.searchsorted(self.chances, rng.random(), side="right").clip(max=len(self.outliers) - 1))
        return self.outliers[at][int(rng.integers(len(self.outliers[at])))]
