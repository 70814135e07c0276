"""The verb ``calibrate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from oddroad.cli.common import parse_size, progress_bar, say
from oddroad.errors import InputError, counted, printable
from oddroad.files import remove_folder
from oddroad.io.folder_lock import FolderLock

if TYPE_CHECKING:
    from oddroad.detection.tracking import Tracking


def calibrate(
    model: Annotated[str, tyro.conf.Positional] = "default",
    /,
    data: tuple[str, ...] = ("cityscapes",),
    root: Path = Path("data"),
    scores: tuple[str, ...] = (),
    split: str = "val",
    max_frames: int | None = None,
    size: str | None = None,
    stride: int | None = None,
    threshold: str | None = None,
    confidence: float | None = None,
    min_area: int | None = None,
    scope: str | None = None,
    roi: str | None = None,
    min_hits: int | None = None,
    max_age: int | None = None,
    every: int | None = None,
    speed: str | None = None,
    explain: Annotated[tuple[Path, ...] | None, tyro.conf.arg(metavar="[FILE ...]")] = None,
    update: bool = False,
    out: Path | None = None,
) -> None:
    """Calibrate on in-distribution data: thresholds of an .onnx file, or temperature and fitted scores of a checkpoint.

    Example: oddroad calibrate my_detector.onnx --data monday.mp4 tuesday.mp4 wednesday.mp4

    Args:
        model: an oddroad .onnx file, "default", or a checkpoint (.ckpt).
        data: scenes without an anomaly: data sets with classes; for an .onnx also images, folders and videos. Each
            video, log and folder of pictures is a drive, and guarantees rest on the number of drives, not of frames.
        root: folder that holds the data sets.
        scores: of an .onnx, the scores to calibrate, by default all; of a checkpoint, the scores to fit, such as sml,
            mahalanobis, embedding_density; they are fitted on the split "train".
        split: of the data sets, for the thresholds or the temperature; not what the network was trained on.
        max_frames: frames of each data set or drive at most, evenly spread; by default 500, and all where alarms are
            counted, which are then pieces of frames that follow each other.
        size: of a checkpoint: HEIGHTxWIDTH that the network sees, or "any", the default, for the image's own; as in the
            export.
        stride: of a checkpoint of erfnet or enet: 1 or 2; as in the export.
        threshold: of an .onnx, the default threshold: "no-alarms" (the default), the lowest without a false alarm on
            the data; "alarms=1/100frames", "alarms=6/hour", "alarms=2/100km", "fpr=0.1%", or a number. An hour and
            100 km count alarms: tracks that start, under the settings below, which detect then takes from the card.
        confidence: of an .onnx, the confidence level of the guarantees; 0.95 by default.
        min_area: of an .onnx, pixels of the smallest false alarm; by default 1 in 10,000 of the image's pixels.
        scope: of an .onnx, what the guarantees speak of: "new-drives" like those given, the default with two or more,
            or "same-drives": later parts of the very same.
        roi: of an .onnx, the region of interest that the guarantees speak of and detect then keeps to: "road" (road,
            sidewalk, and what they enclose), corners of a polygon such as "0,1 0.4,0.5 0.6,0.5 1,1" (x,y as shares; or
            pixels, then the picture's size, "@540x960"), or a mask (PNG, 0 outside); by default the whole picture.
        min_hits: of an .onnx, count alarms of tracks with at least this many hits; 1 by default.
        max_age: of an .onnx, frames in a row that such a track may miss; 2 by default.
        every: of an .onnx, count alarms on every n-th frame of videos; 1 by default.
        speed: of an .onnx, how fast was driven, such as 90km/h, for alarms in 100 km where a log does not say it.
        explain: of an .onnx, print what thresholds and numbers of hits trade: alarms an hour against frames of delay;
            and write it to files, a figure (.png, .svg, .pdf) or a table (.json).
        update: of an .onnx that was calibrated on drives, add recent drives without an anomaly to them: thresholds and
            guarantees are then those of all. What is not given stays as it was.
        out: file to write; by default the model's name with ".calibrated" before the ending, in this folder. Until it
            is written, the figures of each frame are kept beside it, and the same command goes on from them.
    """
    checkpoint = model.endswith(".ckpt")
    other = {"threshold": threshold, "confidence": confidence, "min_area": min_area, "scope": scope, "roi": roi}
    other |= {"min_hits": min_hits, "max_age": max_age, "every": every, "speed": speed, "explain": explain}
    other["update"] = update or None
    other = other if checkpoint else {"size": size, "stride": stride}
    if given := next((name for name, value in other.items() if value is not None), None):
        raise InputError(
            f"--{given.replace('_', '-')} is for {'an .onnx file' if checkpoint else 'a checkpoint (.ckpt)'}, and "
            f"'{model}' is {'a checkpoint' if checkpoint else 'an .onnx file'}; leave it out"
        )
    fixed = {"scores": scores or None, "min_area": min_area, "roi": roi, "min_hits": min_hits, "max_age": max_age}
    fixed |= {"every": every, "speed": speed, "explain": explain}
    if update and (given := next((name for name, value in fixed.items() if value is not None), None)):
        raise InputError(
            f"--{given.replace('_', '-')} cannot change with --update; the drives before were judged with another"
        )
    out = out or Path(f"{Path(model).stem}.calibrated{'.ckpt' if checkpoint else '.onnx'}")
    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    tracking = None if checkpoint else tracking_of(threshold or "", min_hits, max_age, every, speed, explain)
    with FolderLock(out.parent, f".{out.name}.lock", f"'{out}'"):
        if checkpoint:
            calibrate_network(Path(model), data, root, scores, split, max_frames or 500, size or "any", stride, out)
            return
        options = threshold, confidence, min_area, scope, roi, update
        calibrate_detector(model, data, root, scores, split, max_frames, *options, tracking, speed, explain, out)


def tracking_of(
    threshold: str,
    min_hits: int | None,
    max_age: int | None,
    every: int | None,
    speed: str | None,
    explain: tuple[Path, ...] | None,
) -> Tracking | None:
    """The settings under which alarms are counted; None where no option asks for that.

    Raises:
        InputError: naming an option that is impossible.
    """
    from oddroad.calibration.explain import check_files
    from oddroad.calibration.thresholds import parse_speed, parse_threshold
    from oddroad.calibration.tracks import Tracking

    for name, value, least in (("min-hits", min_hits, 1), ("max-age", max_age, 0), ("every", every, 1)):
        if value is not None and value < least:
            raise InputError(f"--{name} is {value}; expected {least} or more")
    if speed is not None:
        parse_speed(speed)
    check_files(explain or ())
    counted = threshold != "" and parse_threshold(threshold)[0] in ("hour", "100km")
    if not counted and explain is None:
        given = {"min-hits": min_hits, "max-age": max_age, "every": every, "speed": speed}
        if name := next((name for name, value in given.items() if value is not None), None):
            raise InputError(f"--{name} is for alarms an hour or in 100 km; add --threshold alarms=6/hour or --explain")
        return None
    return Tracking.of({}, min_hits, max_age, every)


def calibrate_network(
    path: Path,
    data: tuple[str, ...],
    root: Path,
    scores: tuple[str, ...],
    split: str,
    max_frames: int,
    size: str,
    stride: int | None,
    out: Path,
) -> None:
    """Temperature and fitted scores of a checkpoint; options as ``calibrate``."""
    from oddroad.calibration.data import calibration_data
    from oddroad.datasets import class_tables
    from oddroad.learn.checkpoints.format import read_checkpoint
    from oddroad.learn.post_hoc import calibrate_checkpoint

    tables = class_tables(read_checkpoint(path)[1]["classes"])
    val = calibration_data(data, root, split, max_frames, tables)
    train = calibration_data(data, root, "train", max_frames, tables) if scores else val
    total = (val.count or 0) + (train.count or 0 if scores else 0)
    with progress_bar(total) as advance:
        found = calibrate_checkpoint(path, out, train, val, scores, parse_size(size), stride, advance)
    say(f"{found.line()} of {val.words}")
    say("".join(f"fitted {name} on {counted(train.count or 0, 'frame')} of {train.words}\n" for name in scores), end="")
    say(f"written: {out} and {out}.reliability.png; thresholds: export it, then calibrate the .onnx")


def calibrate_detector(
    model: str,
    data: tuple[str, ...],
    root: Path,
    scores: tuple[str, ...],
    split: str,
    max_frames: int | None,
    threshold: str | None,
    confidence: float | None,
    min_area: int | None,
    scope: str | None,
    roi: str | None,
    update: bool,
    tracking: Tracking | None,
    speed: str | None,
    explained: tuple[Path, ...] | None,
    out: Path,
) -> None:
    """Thresholds of an .onnx file; options as ``calibrate``."""
    from oddroad.calibration.data import calibration_data
    from oddroad.calibration.fit import find_thresholds, write_card
    from oddroad.calibration.following import Following
    from oddroad.calibration.thresholds import parse_speed, threshold_for
    from oddroad.calibration.update import check_record, updated
    from oddroad.inference.model import Model
    from oddroad.roi import Roi

    detector = Model(model)
    within = detector.roi(Roi() if roi is None else Roi.parse(roi))
    if tracking is None:
        frames, following = calibration_data(data, root, split, max_frames or 500), None
    else:
        frames = calibration_data(data, root, split, max_frames, every=tracking.every)
        following = Following(tracking, parse_speed(speed) if speed else frames.kilometres or None)
    if update:
        check_record(detector.card, frames)
    out = out if out.name != "default.calibrated.onnx" else out.with_name(f"{detector.path.stem}.calibrated.onnx")
    keep = out.with_name(f"{out.name}.frames")
    notes: list[str] = []
    with progress_bar(frames.count) as advance:
        if update:
            card = updated(detector, frames, threshold, confidence, scope, advance, keep, notes.append)
        else:
            card = find_thresholds(
                detector, frames, scores, threshold or "no-alarms", 0.95 if confidence is None else confidence,
                min_area=min_area, progress=advance, keep=keep, scope=scope, note=notes.append, roi=within,
                following=following,
            )  # fmt: skip
    write_card(detector.path, card, out)
    if stays := remove_folder(keep):
        print(f"oddroad: warning: {printable(stays)}", file=sys.stderr)
    for name in card.calibration["scores"]:
        say(threshold_for(card, card.calibration["rule"], name).meaning)
    if explained is not None:
        from oddroad.calibration.explain import explain

        explain(card, explained)
    for line in notes:
        say(line)
    if frames.damaged:
        say(f"left out, damaged: {counted(len(frames.damaged), 'frame')}, such as {frames.damaged[0]}")
    say(f"written: {out}")
