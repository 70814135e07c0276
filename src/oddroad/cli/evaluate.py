"""The verb ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from oddroad.cli.common import JsonTo, default_out, json_file, parse_size, progress_bars, quiet, write_json
from oddroad.errors import InputError


def evaluate(
    model: Annotated[str, tyro.conf.Positional],
    data: tuple[str, ...],
    root: Path,
    scores: tuple[str, ...] = (),
    protocol: Literal["native", "network"] = "native",
    size: str | None = None,
    threshold: str | None = None,
    video: bool = False,
    fps: float | None = None,
    min_hits: int | None = None,
    max_age: int | None = None,
    intervals: bool = True,
    exact: bool = False,
    workers: int = 1,
    json: JsonTo = None,
    work: Path | None = None,
    plugin: Path | None = None,
    flip_tta: bool = False,
) -> None:
    """Evaluate a detector on data sets: AP, FPR95, AUROC, F1, sIoU, PPV, F1*; objects found and
    false alarms at the deployed threshold, of drives as events; IoU and ECE of the classes.

    Example: oddroad evaluate default --data road_anomaly road_obstacle21 --root ~/datasets --json default.json

    Run again after an interruption, with the same model, options and images, it goes on where it stopped.

    Args:
        model: "default", an oddroad .onnx file or checkpoint, an address or hf:ORG/NAME, or a folder of saved maps
            (.npy, or SMIYC's .hdf5).
        data: names of data sets, each optionally with its split: road_anomaly camvid:val; of your own, a folder below
            --root with a class map.
        root: folder at or below which the sets lie; for "folder" the set itself.
        scores: which of the model's scores; by default its own.
        protocol: native: maps are enlarged to the labels, as the benchmarks do. network: images and labels are
            resized to --size and frames without an anomaly are left out, as the first paper does.
        size: HxW that the network sees, such as 512x1024; by default each image's own, or 512x1024 for network.
        threshold: judge components, objects and alarms at this threshold too, instead of the one deployed with the
            model: a number, or of a calibrated .onnx file no-alarms, alarms=1/100frames, alarms=6/hour or
            fpr=0.1%.
        video: judge sequences of frames as drives, too: objects found, delay until the alarm, alarms per hour, and
            consistency VC*. Of sets that say which frames are of one drive.
        fps: frames per second of the drives, where the set does not say it or to replace what it says.
        min_hits: with --video: report only tracks with at least so many hits; by default as detect, the card's or 1.
        max_age: with --video: frames in a row that a track may miss before it ends; by default the card's or 2.
        intervals: 95 % intervals of the figures, by leaving out each image, or each sequence of frames, in turn; no
            second run of the model.
        exact: sort all scores instead of counting them; 4 bytes a pixel, 8 where saved maps are float64.
        workers: processes that share the images.
        json: the results as JSON: printed, or into FILE, which 'oddroad report' reads; pictures of the frames go into
            a folder beside it.
        work: folder for the maps while it runs, 4 bytes a pixel and score; by default out/evaluate.
        plugin: a Python file of your own that adds to oddroad.learn.scores.SCORES; for a checkpoint.
        flip_tta: of a checkpoint: average each score with that of the mirror image; what it costs is printed.
    """
    from functools import partial

    from oddroad.datasets import DATASETS
    from oddroad.evaluation.evaluate import Settings, evaluate_to_file
    from oddroad.evaluation.predictors import open_predictor
    from oddroad.evaluation.terminal import print_results

    opener = open_predictor
    if Path(model).suffix == ".ckpt":
        from oddroad.learn.predictor import open_checkpoint as opener
    if plugin is not None:
        from oddroad.learn.plugin import open_with_plugin

        opener = partial(open_with_plugin, str(plugin))
    if flip_tta:
        if Path(model).suffix != ".ckpt":
            raise InputError("--flip-tta is for a checkpoint; an .onnx has it inside: export --flip-tta")
        tasks = {DATASETS[name].task for name in (each.partition(":")[0] for each in data) if name in DATASETS}
        if tasks == {"semantic"}:
            raise InputError("--flip-tta does nothing for sets of classes: it averages scores")
        opener = partial(opener, flip_tta=True)
    if size == "any":
        raise InputError("--size any says nothing; leave --size out, or give HxW such as 512x1024")
    out = json_file(json)
    settings = Settings(
        model=model,
        scores=scores,
        protocol=protocol,
        size=parse_size(size) if size else None,
        exact=exact,
        threshold=threshold,
        video=video,
        fps=fps,
        min_hits=min_hits,
        max_age=max_age,
        intervals=intervals,
        workers=workers,
        work=work or default_out("evaluate"),
        pictures=out.with_suffix(".frames") if out else None,
        opener=opener,
    )
    with progress_bars() as tell:
        results = evaluate_to_file(settings, data, root, out, tell)
    if json is None or (json and not quiet()):
        print_results(results)
    elif not json:
        write_json(json, {"results": results})
