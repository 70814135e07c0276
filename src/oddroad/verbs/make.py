"""Verbs that make a detector: train, convert, calibrate, export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from oddroad.errors import InputError
from oddroad.recipe import Recipe
from oddroad.verbs.common import parse_size, ticking_bar


def train(
    recipe: Recipe,
    root: Path,
    out: Path,
    validate_every: int = 1000,
    start: Path | None = None,
    until: int | None = None,
    fresh: tuple[str, ...] = (),
    save_every: int = 250,
    validation_scenes: int = 30,
    workers: int = 0,
    teacher: Path | None = None,
) -> None:
    """Train a network by a recipe; a run that was stopped, even killed, goes on where it was.

    Example: oddroad train --recipe recipes/embedded_first.yaml --recipe.optimiser.rate 5e-4 --root data --out runs/one

    On several devices: torchrun --nproc-per-node 2 -m oddroad.cli train ...

    Args:
        recipe: a YAML file; single values are changed by --recipe.GROUP.KEY VALUE.
        root: folder that holds the data sets.
        out: folder for logs, checkpoints and, at the end, model.ckpt.
        validate_every: steps between validations.
        start: a checkpoint of ours to start from instead of random weights.
        until: stop at this step, with the schedule unfinished.
        fresh: beginnings of the names of parameters that --start does not give.
        save_every: steps between the states that a stopped run goes on from.
        validation_scenes: validation scenes of each data set.
        workers: processes that prepare crops while the network learns; 0 prepares them between the steps.
        teacher: a checkpoint of ours to learn from, where the recipe's distillation.weight is above 0.
    """
    from oddroad.learn.train import fit

    model = fit(recipe, root, out, validate_every, start, save_every, until, fresh, validation_scenes, workers, teacher)
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"trained: {model}")


def convert(
    file: Annotated[Path, tyro.conf.Positional],
    network: str,
    out: Path,
    classes: tuple[str, ...] = (),
    normalisation: str | None = None,
    licence: str = "",
) -> None:
    """Read a published checkpoint (.pth, .pth.tar, .safetensors) and write one of ours; no code in it is run.

    Example: oddroad convert erfnet_pretrained.pth --network erfnet --out erfnet.ckpt

    Args:
        file: the checkpoint.
        network: which network it is for: erfnet, enet, bisenetv1, bisenetv2, ddrnet23_slim, pidnet_s, mask2former,
            mask2anomaly, mask2former_swin, mask2anomaly_swin.
        out: the file to write.
        classes: names of its classes, without void; by default those of Cityscapes.
        normalisation: of its input: unit (RGB in [0, 1]), imagenet, or cityscapes; by default the published one.
        licence: terms of use of the weights; they are written into the checkpoint and every file exported from it.
    """
    from oddroad.learn.convert import convert_file

    done = convert_file(file, network, out, classes=classes, normalisation=normalisation, licence=licence)
    print("\n".join([*done.lines(), f"written: {out}, {out.stat().st_size / 1e6:.1f} MB"]))


def calibrate(
    model: Annotated[str, tyro.conf.Positional] = "default",
    /,
    data: tuple[str, ...] = ("cityscapes",),
    root: Path = Path("data"),
    scores: tuple[str, ...] = (),
    split: str = "val",
    most: int = 500,
    size: str = "any",
    stride: int | None = None,
    rule: str = "fpr=0.1%",
    confidence: float = 0.95,
    smallest: int | None = None,
    out: Path | None = None,
) -> None:
    """Learn from known scenes: thresholds of an .onnx file, or temperature and fitted scores of a checkpoint.

    Example: oddroad calibrate my_detector.onnx --data my_drive.mp4 --rule alarms=1/100frames

    Args:
        model: an .onnx file of ours, "default", or a checkpoint (.ckpt).
        data: scenes on which nothing is odd: data sets with classes; for an .onnx also images, folders and videos.
        root: folder that holds the data sets.
        scores: of an .onnx, the scores to calibrate, by default all; of a checkpoint, the scores to fit, such as sml,
            mahalanobis, embedding_density; they are fitted on the split "train".
        split: of the data sets, for the thresholds or the temperature; not what the network was trained on.
        most: frames of each data set at most.
        size: of a checkpoint: HEIGHTxWIDTH that the network sees, or "any" for the image's own; as in the export.
        stride: of a checkpoint of erfnet or enet: 1 or 2; as in the export.
        rule: of an .onnx, the default threshold: "fpr=0.1%", "alarms=1/100frames".
        confidence: of an .onnx, how surely the promises shall hold.
        smallest: of an .onnx, pixels of the smallest false alarm; by default 1 in 10,000 of the image's pixels.
        out: file to write; by default the model's name with ".calibrated" before the ending, in this folder.
    """
    from oddroad.calibrate import find_thresholds, known_data, write_card

    if model.endswith(".ckpt"):
        from oddroad.learn.calibrate import calibrate_checkpoint, class_tables
        from oddroad.learn.checkpoint import read_checkpoint

        path = Path(model)
        tables = class_tables(read_checkpoint(path)[1]["classes"])
        val = known_data(data, root, split, most, tables)
        train = known_data(data, root, "train", most, tables) if scores else val
        out = out or Path(f"{path.stem}.calibrated.ckpt")
        total = (val.count or 0) + (train.count or 0 if scores else 0)
        with ticking_bar(total) as advance:
            found = calibrate_checkpoint(path, out, train, val, scores, parse_size(size), stride, advance)
        print(f"{found.line()} of {val.words}")
        print("".join(f"fitted {name} on {train.count} frames of {train.words}\n" for name in scores), end="")
        print(f"written: {out} and {out}.reliability.png; thresholds: export it, then calibrate the .onnx")
        return
    from oddroad.runtime import Model
    from oddroad.thresholds import threshold_for

    detector = Model(model)
    known = known_data(data, root, split, most)
    out = out or Path(f"{detector.path.stem}.calibrated.onnx")
    with ticking_bar(known.count) as advance:
        card = find_thresholds(
            detector, known.frames(), known.words, scores, rule, confidence, smallest=smallest, progress=advance
        )
    write_card(detector.path, card, out)
    for name in card.calibration["scores"]:
        print(threshold_for(card, rule, name).meaning)
    print(f"written: {out}")


def export(
    checkpoint: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    out: Path,
    scores: tuple[str, ...] = ("max_logit",),
    size: str = "any",
    upsample: Literal["score", "logits"] = "score",
    half: bool = False,
    weights: Literal["float32", "float16", "int8"] = "float32",
    classes: bool = False,
    stride: int | None = None,
    plugin: Path | None = None,
    int8: bool = False,
    calibration: Path | None = None,
    quantiser: Literal["auto", "nncf", "onnxruntime"] = "auto",
    mirror: bool = False,
    second: str | None = None,
) -> None:
    """Write a checkpoint with its scores as one .onnx file, checked against PyTorch in both engines.

    Example: oddroad export erfnet.ckpt --scores msp energy --size 512x1024 --out erfnet.onnx

    Args:
        checkpoint: one of our checkpoints, from 'oddroad train' or 'oddroad convert'; several become one ensemble,
            whose scores see the mean of their probabilities, and mutual_information what they disagree on.
        out: the file to write.
        scores: score maps that the file gives; the first is the default one.
        size: HxW to resize every image to inside the file, such as 512x1024, or "any" to run each at its own size.
        upsample: score: compute the scores at the network's stride and enlarge the maps; logits: enlarge the class
            logits first, slower and as most papers do.
        half: store the weights in 16 bits; the same as --weights float16.
        weights: how the weights are stored; all compute in float32 and are equally fast.
        classes: also give the most likely class of each pixel.
        stride: of erfnet and enet: 1 as published, or 2 for logits averaged over 2 x 2 pixels, which is faster.
        plugin: a Python file of your own that adds to oddroad.learn.scores.SCORES.
        int8: compute in 8 bits: two to three times faster; what it costs is measured and written into the card.
        calibration: for --int8, the folder that holds cityscapes_small, camvid and coco128-seg.
        quantiser: for --int8: nncf, onnxruntime, or the better of the two.
        mirror: each score is the mean over the image and its mirror image; twice the time, which is printed.
        second: HxW of a second look at the same image, smaller than --size, such as 256x512, with a share of 0.3 in the
            logits: large things and surfaces are then seen at a size that the network knows.
    """
    from oddroad.learn.checkpoint import load_networks, load_scores
    from oddroad.learn.export import export as write

    if plugin is not None:
        from oddroad.learn.plugin import load_plugin

        load_plugin(plugin)
    target, again = parse_size(size), None if second is None else parse_size(second)
    network, about = load_networks(checkpoint, **({} if stride is None else {"stride": stride}))
    table = load_scores(checkpoint[0] if len(checkpoint) == 1 else None, scores)
    temperature = float(about.get("temperature", 1.0))
    if second is not None and again is None:
        raise InputError(f"--second {second}; expected height x width, smaller than --size, such as 256x512")
    if int8 != (calibration is not None):
        raise InputError("--int8 and --calibration DATA go together: the ranges and the report come from the data")
    if int8 and mirror:
        raise InputError("--mirror doubles the time that --int8 saves; leave one of them out")
    if int8 and calibration is not None:
        from oddroad.learn.quantise import export_int8

        options: dict[str, Any] = {"size": target, "upsample": upsample, "temperature": temperature, "second": again}
        card = export_int8(network, about, table, out, calibration, quantiser, classes, print, **options)
        print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {', '.join(card.scores)}, input {size}, {card.precision}")
        for name, value in card.quantisation.items():
            print(f"  {name}: {value}")
        return
    kept = "float16" if half and weights == "float32" else weights
    card = write(network, about, table, out, target, upsample, kept, classes, temperature, mirror=mirror, second=again)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {', '.join(card.scores)}, input {size}, weights {card.weights}")
    for name, value in card.parity.items():
        print(f"  {name}: {value}")
    if mirror:
        from oddroad.learn.predict import mirror_words

        print(f"  {mirror_words(network, table, target, upsample, len(card.classes))}")
