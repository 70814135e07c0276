"""How often each class occurs, weights from it, and scenes drawn evenly over the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oddroad.datasets import class_names, table_of, training_set, training_table
from oddroad.datasets.read import read_raw_label
from oddroad.learn.data.scenes import at_once
from oddroad.recipe import ClassWeights, Scenes
from oddroad.types import GROUPS, IGNORE


def training_labels(root: Path, name: str, names: Sequence[str]) -> list[np.ndarray]:
    """The labels of a set's training scenes as numbers of the classes ``names``, (h, w) uint8 each.

    Raises:
        InputError: if the set is unknown, not there, or a label cannot be read.
    """
    found = training_set(root, name)
    table, samples = table_of(found, names), found.load(root, "train")
    return at_once(lambda sample: table[sample.lookup[read_raw_label(sample)]], samples)


def named_classes(name: str, classes: int) -> np.ndarray:
    """(classes,) bool: which trainIds a set's labels can name, alone or in one of GROUPS."""
    return named_in(training_table(name), classes)


def named_in(table: np.ndarray, classes: int) -> np.ndarray:
    """(classes,) bool: which classes a (256,) table of labels leads to, alone or in one of GROUPS."""
    values = {int(each) for each in np.unique(table)}
    named = {each for each in values if each < classes} | {each for value in values for each in GROUPS.get(value, ())}
    return np.isin(np.arange(classes), sorted(named))


def class_counts(root: Path, sets: Sequence[str], classes: int) -> np.ndarray:
    """Pixels of each class in the training scenes of some sets, and at the end those labelled 255; (classes + 1,).

    Each set counts as often as it is named.

    Raises:
        InputError: if a set is unknown, not there, or a label cannot be read.
    """
    counts, names = np.zeros(classes + 1, np.int64), class_names(root, sets)
    for name in dict.fromkeys(sets):
        own = np.sum([np.bincount(each.ravel(), minlength=256) for each in training_labels(root, name, names)], axis=0)
        counts += list(sets).count(name) * np.append(own[:classes], own[IGNORE])
    return counts


def class_weights(counts: np.ndarray, rule: ClassWeights, void: bool) -> np.ndarray | None:
    """Weights of the classes by a rule, and of the void output if it is taught; None if all weigh alike.

    Args:
        counts: (C + 1,) pixels of each class and of void.
        rule: the rule.
        void: whether there is a void output that learns.

    Returns:
        (C,) or (C + 1,) float32. Frequencies are shares of the pixels that teach something; the median is taken over
        the classes that occur, and a class that does not occur has weight 0 by the median rule, 1 / ln(constant) by
        the other.
    """
    taught = (counts if void else counts[:-1]).astype(np.float64)
    share = taught / max(taught.sum(), 1)
    if rule.rule == "enet":
        weights = 1 / np.log(rule.constant + share)
    elif rule.rule == "median_frequency":
        weights = np.where(share > 0, np.median(share[share > 0]) / np.where(share > 0, share, 1), 0.0)
    elif void and rule.void != 1:
        weights = np.ones(len(share))
    else:
        return None
    if void:
        weights[-1] *= rule.void
    return weights.astype(np.float32)


MET = 0.001
"""Share of the pixels of a scene from which on a class counts as met in it."""


def balanced(root: Path, scenes: Scenes) -> np.ndarray:
    """(N,) float64, the cumulated chances of the scenes of a run: some of the draws are evenly over the classes.

    A class that few scenes show brings these scenes up; only single classes count, not groups of them. The other draws
    follow the weights of the sets.
    """
    names = class_names(root, scenes.sets)
    met = {
        name: [
            np.bincount(each.ravel(), minlength=256) >= MET * each.size for each in training_labels(root, name, names)
        ]
        for name in dict.fromkeys(scenes.sets)
    }
    single = [each for each in range(IGNORE) if each not in GROUPS]
    shows = np.array([each for name in scenes.sets for each in met[name]])[:, single].astype(np.float64)
    shows = shows[:, shows.any(0)]
    by_class = (shows / shows.sum(0)).mean(1)
    weights = np.concatenate([np.full(len(met[name]), dict(scenes.weights).get(name, 1.0)) for name in scenes.sets])
    return np.cumsum((1 - scenes.class_balance) * weights / weights.sum() + scenes.class_balance * by_class)
