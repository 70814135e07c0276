"""The verb ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from oddroad.cli.common import default_out, parse_size, progress_bars, quiet
from oddroad.errors import InputError


def evaluate(
    model: Annotated[str, tyro.conf.Positional],
    data: tuple[str, ...],
    root: Path,
    scores: tuple[str, ...] = (),
    protocol: Literal["native", "network"] = "native",
    size: str | None = None,
    threshold: float | None = None,
    bootstrap: int = 0,
    exact: bool = False,
    workers: int = 1,
    json: Path | None = None,
    work: Path | None = None,
    plugin: Path | None = None,
    flip_tta: bool = False,
) -> None:
    """Judge a detector on data sets: AP, FPR95, AUROC, F1, sIoU, PPV, F1*; IoU and ECE on known classes.

    Example: oddroad evaluate default --data road_anomaly road_obstacle21 --root ~/datasets --json default.json

    Run again after an interruption, it goes on where it stopped.

    Args:
        model: "default", an .onnx file or a checkpoint of ours, or a folder of saved maps (.npy, or SMIYC's .hdf5).
        data: names of data sets, each optionally with its split: road_anomaly camvid:val.
        root: folder at or below which the sets lie; for "folder" the set itself.
        scores: which of the model's scores; by default its own.
        protocol: native: maps are enlarged to the labels, as the benchmarks do. network: images and labels are
            resized to --size and frames without an anomaly are left out, as the first paper does.
        size: HxW that the network sees, such as 512x1024; by default each image's own, or 512x1024 for network.
        threshold: judge components at this threshold too, instead of the one deployed with the model.
        bootstrap: number of resamples of the images for 95 % intervals, such as 1000; no second run of the model.
        exact: sort all scores instead of counting them; 4 bytes a pixel.
        workers: processes that share the images.
        json: file for the results, which 'oddroad report' reads; pictures of the frames go into a folder beside it.
        work: folder for the maps while it runs, 4 bytes a pixel and score; by default out/evaluate.
        plugin: a Python file of your own that adds to oddroad.learn.scores.SCORES; for a checkpoint.
        flip_tta: of a checkpoint: average each score with that of the flip_tta image; what it costs is printed.
    """
    from functools import partial

    from oddroad.evaluation.evaluate import Settings, evaluate_to_file, table
    from oddroad.evaluation.predictors import open_predictor

    opener = open_predictor
    if Path(model).suffix == ".ckpt":
        from oddroad.learn.predictor import open_checkpoint as opener
    if plugin is not None:
        from oddroad.learn.plugin import open_with_plugin

        opener = partial(open_with_plugin, str(plugin))
    if flip_tta:
        if Path(model).suffix != ".ckpt" or plugin is not None:
            raise InputError(
                "--flip-tta is for a checkpoint without a plugin; an .onnx has it inside: export --flip-tta"
            )
        opener = partial(opener, flip_tta=True)
    settings = Settings(
        model=model,
        scores=scores,
        protocol=protocol,
        size=parse_size(size) if size else None,
        exact=exact,
        threshold=threshold,
        bootstrap=bootstrap,
        workers=workers,
        work=work or default_out("evaluate"),
        pictures=json.with_suffix(".frames") if json else None,
        opener=opener,
    )
    with progress_bars("images") as tell:
        results = evaluate_to_file(settings, data, root, json, tell)
    if json is None or not quiet():
        print(table(results))
