"""The verb ``calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from oddroad.cli.common import parse_size, progress_bar, say


def calibrate(
    model: Annotated[str, tyro.conf.Positional] = "default",
    /,
    data: tuple[str, ...] = ("cityscapes",),
    root: Path = Path("data"),
    scores: tuple[str, ...] = (),
    split: str = "val",
    max_frames: int = 500,
    size: str = "any",
    stride: int | None = None,
    threshold: str = "fpr=0.1%",
    confidence: float = 0.95,
    min_area: int | None = None,
    out: Path | None = None,
) -> None:
    """Calibrate on in-distribution data: thresholds of an .onnx file, or temperature and fitted scores of a checkpoint.

    Example: oddroad calibrate my_detector.onnx --data my_drive.mp4 --threshold alarms=1/100frames

    Args:
        model: an oddroad .onnx file, "default", or a checkpoint (.ckpt).
        data: scenes without an anomaly: data sets with classes; for an .onnx also images, folders and videos.
        root: folder that holds the data sets.
        scores: of an .onnx, the scores to calibrate, by default all; of a checkpoint, the scores to fit, such as sml,
            mahalanobis, embedding_density; they are fitted on the split "train".
        split: of the data sets, for the thresholds or the temperature; not what the network was trained on.
        max_frames: frames of each data set at most.
        size: of a checkpoint: HEIGHTxWIDTH that the network sees, or "any" for the image's own; as in the export.
        stride: of a checkpoint of erfnet or enet: 1 or 2; as in the export.
        threshold: of an .onnx, the default threshold: "fpr=0.1%", "alarms=1/100frames".
        confidence: of an .onnx, the confidence level of the guarantees.
        min_area: of an .onnx, pixels of the smallest false alarm; by default 1 in 10,000 of the image's pixels.
        out: file to write; by default the model's name with ".calibrated" before the ending, in this folder.
    """
    from oddroad.calibration.data import calibration_data
    from oddroad.calibration.fit import find_thresholds, write_card
    from oddroad.datasets import class_tables

    if model.endswith(".ckpt"):
        from oddroad.learn.checkpoints.format import read_checkpoint
        from oddroad.learn.post_hoc import calibrate_checkpoint

        path = Path(model)
        tables = class_tables(read_checkpoint(path)[1]["classes"])
        val = calibration_data(data, root, split, max_frames, tables)
        train = calibration_data(data, root, "train", max_frames, tables) if scores else val
        out = out or Path(f"{path.stem}.calibrated.ckpt")
        total = (val.count or 0) + (train.count or 0 if scores else 0)
        with progress_bar(total) as advance:
            found = calibrate_checkpoint(path, out, train, val, scores, parse_size(size), stride, advance)
        say(f"{found.line()} of {val.words}")
        say("".join(f"fitted {name} on {train.count} frames of {train.words}\n" for name in scores), end="")
        say(f"written: {out} and {out}.reliability.png; thresholds: export it, then calibrate the .onnx")
        return
    from oddroad.calibration.thresholds import threshold_for
    from oddroad.inference.model import Model

    detector = Model(model)
    known = calibration_data(data, root, split, max_frames)
    out = out or Path(f"{detector.path.stem}.calibrated.onnx")
    with progress_bar(known.count) as advance:
        card = find_thresholds(
            detector, known.frames(), known.words, scores, threshold, confidence, min_area=min_area, progress=advance
        )
    write_card(detector.path, card, out)
    for name in card.calibration["scores"]:
        say(threshold_for(card, threshold, name).meaning)
    say(f"written: {out}")
