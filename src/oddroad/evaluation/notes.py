"""What is to be said about a set and its labels beside the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.datasets import completeness
from oddroad.datasets.samples import remarks_of
from oddroad.datasets.verify import found_values
from oddroad.errors import counted
from oddroad.evaluation.workers import PartialCounts, Settings
from oddroad.types import IGNORE, Sample


def notes_of_set(
    whole: PartialCounts, common: dict[str, Any], samples: Sequence[Sample], where: dict[str, str]
) -> list[str]:
    """What is to be said about a set and its labels, whatever the score."""
    dataset, notes = where["dataset"], []
    if lacking := completeness(dataset, where["split"], len(samples)):
        notes.append(lacking)
    notes += remarks_of(samples)
    values = found_values(whole.values, samples[0].lookup, dataset)
    for frames, what in ((whole.empty, "no valid pixel"), (whole.full, "nothing but anomalies")):
        if frames:
            notes.append(
                f"{what} in {len(frames)} of {counted(len(samples), 'frame')} ({', '.join(frames[:3])}); {values}"
            )
    unmapped = [each for each in np.flatnonzero(whole.values) if samples[0].lookup[each] == IGNORE != each]
    if dataset == "folder" and unmapped and not (Path(where["root"]) / "classes.json").is_file():
        notes.append(f"values that are not judged: {values}")
    if not common["saved_maps"] and common["frames_computed"] < common["judged_images"]:
        notes.append("went on from an interrupted run; the seconds do not count its frames")
    return notes


def notes_of_sequences(
    settings: Settings, sequences: Mapping[str, Sequence[Sample]], samples: Sequence[Sample]
) -> list[str]:
    """What is to be said about the sequences of a set."""
    notes, frames = [], sum(map(len, sequences.values()))
    if frames < len(samples):
        notes.append(
            f"video figures are of {counted(frames, 'frame')} of {counted(len(sequences), 'drive')}; the others "
            "stand alone"
        )
    lacking = [name for name, each in sequences.items() if each[0].fps is None]
    if lacking and settings.fps is None:
        notes.append(
            f"frames per second are not known of {len(lacking)} of {counted(len(sequences), 'drive')}, so nothing is "
            "given in seconds or by the hour; pass --fps"
        )
    return notes
