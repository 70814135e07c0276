"""Training examples of disagreement, made without any anomaly: things of the class map get another class.

The synthesis then shows what is not in the image, just as it does where a closed-set network names something that it
has no class for. Source: Lis et al., ICCV 2019; with void as a second kind of anomaly: Di Biase et al., CVPR 2021.
"""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.types import IGNORE, OUTLIER

THINGS = (6, 7, 11, 12, 13, 14, 15, 16, 17, 18)
"""trainIds of what stands by itself on a street: lights, signs, people, vehicles. Their regions are swapped whole."""

SMALLEST = 24
"""Pixels of a region that can be swapped."""


def swapped(
    labels: np.ndarray, classes: int, rng: np.random.Generator, share: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Connected regions of things, each by chance given another class.

    Args:
        labels: (h, w) class numbers; values that are no class stay as they are.
        classes: number of classes.
        rng: of all choices.
        share: of the regions that are swapped.

    Returns:
        the new labels, and where they differ, (h, w) bool.
    """
    found, changed = labels.copy(), np.zeros(labels.shape, bool)
    for each in THINGS:
        mask = (labels == each).astype(np.uint8)
        if each >= classes or not mask.any():
            continue
        count, regions, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for region in range(1, count):
            if statistics[region, cv2.CC_STAT_AREA] < SMALLEST or rng.random() >= share:
                continue
            where = regions == region
            found[where] = (each + rng.integers(1, classes)) % classes
            changed |= where
    return found, changed


def own_vehicle(labels: np.ndarray) -> np.ndarray:
    """Where IGNORE reaches up from the lower edge, (h, w) bool: the own bonnet, which is no anomaly."""
    return np.logical_and.accumulate(labels[::-1] == IGNORE, axis=0)[::-1]


def example(
    labels: np.ndarray,
    seen: np.ndarray | None,
    classes: int,
    rng: np.random.Generator,
    share: float = 0.5,
    void: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """A class map to synthesise from, and the target of the comparison.

    Args:
        labels: (h, w) the truth: class numbers, IGNORE, OUTLIER for pasted objects, other values for unnamed pixels.
        seen: (h, w) the classes that the closed-set network sees; None leaves pixels without a class empty.
        classes: number of classes.
        rng: of all choices.
        share: of the things that are swapped.
        void: pixels labelled IGNORE are anomalies, but for the own bonnet; else they teach nothing.

    Returns:
        class numbers (h, w), IGNORE where there is none; and the target: OUTLIER where image and class map disagree, 0
        where they agree, IGNORE where it is not known.
    """
    named = labels < classes
    whole = np.where(named, labels, IGNORE if seen is None else seen)
    given, changed = swapped(whole, classes, rng, share)
    target = np.where(named, 0, IGNORE)
    if void:
        target = np.where((labels == IGNORE) & ~own_vehicle(labels), OUTLIER, target)
    target = np.where(labels == OUTLIER, OUTLIER, target)
    return given, np.where(changed & named, OUTLIER, target)
