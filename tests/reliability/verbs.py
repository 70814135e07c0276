"""The verbs that are put to the trial, each on inputs so tiny that a run takes a tenth of a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from reliability.trials import Verb

RECIPE = """
network: {name: ddrnet23_slim, outlier: false, auxiliary: false}
scenes: {sets: [camvid], crop: [64, 64], scale: [0.5, 0.6], validation: [camvid]}
outliers: {probability: 0.0, in_distribution: 0.0}
losses: {cross_entropy: 1.0}
optim: {name: sgd, lr: 1.0e-3, steps: 4, warmup: 1, batch: 2, precision: fp32, ema: 0.9}
"""


def make_inputs(folder: Path, learn: bool = True) -> None:
    """Everything that the verbs read: clips, pictures, a set with labels, detectors, checkpoints, results."""
    import cv2
    import numpy as np
    from own_set import write_set
    from videos import scene, write_video

    from oddroad.cli.main import main

    folder.mkdir(parents=True, exist_ok=True)
    for name, first in (("clip.mp4", 0), ("other.mp4", 40)):
        write_video(folder / name, [scene(first + number, (48, 64)) for number in range(4)], rate=10)
    (folder / "pictures").mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / f"pictures/{number}.png"), scene(number, (48, 64))[..., ::-1])
    write_set(folder / "set", 2)
    model = folder / "tiny.onnx"
    if learn:
        make_learned(folder, model)
    else:
        make_detector(model)
    heat = np.load(folder / "set/maps/0.npy")
    assert heat.ndim == 2
    for name, clip in (("found", "clip.mp4"), ("pictured", "pictures")):
        words = ["detect", str(folder / clip), "--model", str(model), "--threshold", "0.2", "--min-area", "1"]
        assert main([*words, "--out", str(folder / name), "--save", "maps", "--quiet"]) == 0
    for name in ("one", "two"):
        words = ["evaluate", str(model), "--data", "folder", "--root", str(folder / "set"), "--quiet"]
        words += ["--scores", "outlier_head" if name == "one" else "max_logit"] if learn else []
        assert main([*words, "--json", str(folder / f"{name}.json"), "--work", str(folder / "work")]) == 0


def make_detector(path: Path) -> None:
    """A detector of one convolution, without PyTorch: brightness of the red channel, from 0 to 1."""
    from onnx import TensorProto, helper

    from oddroad.card import Card
    from oddroad.inference.integrity import with_card

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "most"], ["max_logit"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])],
        [helper.make_tensor_value_info("max_logit", TensorProto.FLOAT, [1, "height", "width"])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [1], [3]),
            helper.make_tensor("most", TensorProto.FLOAT, [], [255.0]),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = Card("tiny", "none", ("max_logit",), None, 1, ("dark", "light"), thresholds={"max_logit": 0.5})
    path.write_bytes(with_card(model.SerializeToString(), card))


def make_learned(folder: Path, model: Path) -> None:
    """A detector with two scores, a checkpoint, one in another's format, data and a recipe to train by."""
    import torch
    from fabricated import training_root
    from small_networks import SLIM_ABOUT, SLIM_ARGUMENTS, TINY_ABOUT, Tiny

    from oddroad.learn.checkpoints.format import save_checkpoint
    from oddroad.learn.export.onnx import export
    from oddroad.learn.networks import NETWORKS

    torch.manual_seed(0)
    export(Tiny().eval(), TINY_ABOUT, ["outlier_head", "max_logit"], model, (32, 64))
    slim = NETWORKS["ddrnet23_slim"](**SLIM_ARGUMENTS)
    save_checkpoint(folder / "slim.ckpt", slim, SLIM_ABOUT)
    torch.save(NETWORKS["enet"](19).state_dict(), folder / "enet.pth")
    training_root(folder / "data", 2)
    (folder / "recipe.yaml").write_text(RECIPE)


def interrupted(out: Path) -> None:
    """Make of a finished run's results those of one that was killed."""
    path = out / "detections.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert json.loads(lines[-1])["type"] == "summary"
    path.write_text("".join(lines[:-1]) + '{"type": "fra')


def verbs(folder: Path, learn: bool = True) -> dict[str, Verb]:
    """The verbs by name.

    Args:
        folder: that ``make_inputs`` has filled.
        learn: also those that need PyTorch.
    """
    model, found, pictured = str(folder / "tiny.onnx"), str(folder / "found"), str(folder / "pictured")
    clip, products = str(folder / "clip.mp4"), ["--save", "overlay", "maps", "masks"]

    def detect(source: str, *more: str) -> Callable[[Path], list[str]]:
        words = ["detect", source, "--model", model, "--threshold", "0.2", "--min-area", "1", "--quiet"]
        return lambda out: [*words, "--out", str(out), *more]

    def evaluate(score: str) -> Callable[[Path], list[str]]:
        words = ["evaluate", model, "--data", "folder", "--root", str(folder / "set"), "--quiet"]
        words += ["--scores", score] if learn else []
        return lambda out: [*words, "--json", str(out / "r.json"), "--work", str(out / "work")]

    def calibrate(threshold: str) -> Callable[[Path], list[str]]:
        words = ["calibrate", model, "--data", clip, str(folder / "other.mp4"), "--threshold", threshold, "--quiet"]
        return lambda out: [*words, "--out", str(out / "c.onnx"), "--explain", str(out / "e.json"), str(out / "e.png")]

    def results(kind: str, name: str, source: str = found, *more: str) -> Callable[[Path], list[str]]:
        return lambda out: ["results", source, "--to", kind, "--out", str(out / name), "--quiet", *more]

    def report(*names: str) -> Callable[[Path], list[str]]:
        return lambda out: ["report", *(str(folder / f"{name}.json") for name in names), "--out", str(out), "--quiet"]

    def mine(threshold: str) -> Callable[[Path], list[str]]:
        words = ["mine", clip, str(folder / "other.mp4"), "--model", model, "--threshold", threshold, "--quiet"]
        return lambda out: [*words, "--min-area", "1", "--workers", "1", "--out", str(out / "mined")]

    media = ("--media", str(folder / "pictures"))
    table = [
        Verb("detect", detect(clip, *products), detect(str(folder / "other.mp4"), *products), keeps=()),
        Verb("detect pictures", detect(str(folder / "pictures"), *products), detect(clip), keeps=()),
        Verb("detect --rotate", detect(clip, "--save", "overlay", "--rotate", "3kB"), keeps=()),
        Verb(
            "detect --resume", detect(clip, *products, "--resume"), detect(clip, *products, "--max-frames", "2"),
            touch=interrupted, keeps=(), prefix=True,
        ),
        Verb("evaluate", evaluate("max_logit"), evaluate("outlier_head") if learn else None),
        Verb("calibrate", calibrate("no-alarms"), calibrate("0.7")),
        Verb("report", report("one"), report("one", "two")),
        Verb("results coco", results("coco", "d.json"), results("coco", "d.json", pictured)),
        Verb("results csv", results("csv", "d.csv"), results("csv", "d.csv", pictured)),
        Verb("results labelme", results("labelme", "d", pictured, *media)),
        Verb("results supervision", results("supervision", "d", pictured, *media)),
        Verb("results rerun", results("rerun", "d.rrd", found, "--media", clip), results("rerun", "d.rrd")),
        Verb("results mcap", results("mcap", "d.mcap", found, "--media", clip), results("mcap", "d.mcap")),
        Verb("mine", mine("0.2"), mine("0.3"), keeps=()),
        Verb("detect, its inputs", detect(clip, "--save"), below=folder, keeps=()),
        Verb("evaluate, its inputs", evaluate("max_logit"), below=folder),
    ]  # fmt: skip
    if learn:
        slim, trained = (
            str(folder / "slim.ckpt"),
            ["--recipe", str(folder / "recipe.yaml"), "--root", str(folder / "data")],
        )
        trained = ["train", *trained, "--save-every", "1", "--validate-every", "100", "--quiet", "--out"]
        table += [
            Verb("check", lambda out: ["check", model, "--quiet"], below=folder),  # the light one has no reference
            Verb(
                "train", lambda out: [*trained, str(out / "run")],
                lambda out: [*trained, str(out / "run"), "--until", "2"], keeps=(r"run/model\.ckpt", r"run/run\.json"),
            ),
            Verb(
                "calibrate a checkpoint",
                lambda out: [
                    "calibrate", slim, "--data", "camvid", "--root", str(folder / "data"), "--out", str(out / "c.ckpt"),
                    "--quiet",
                ],
            ),
            Verb(
                "export", lambda out: [
                    "export", slim, "--scores", "msp", "--size", "64x64", "--out", str(out / "d.onnx"), "--quiet",
                ],
                lambda out: [
                    "export", slim, "--scores", "entropy", "--size", "64x64", "--out", str(out / "d.onnx"), "--quiet",
                ],
            ),
            Verb(
                "convert",
                lambda out: [
                    "convert", str(folder / "enet.pth"), "--network", "enet", "--out", str(out / "c.ckpt"), "--quiet",
                ],
            ),
        ]  # fmt: skip
    there = find_spec("rerun") is not None
    return {each.name: each for each in table if there or each.name != "results rerun"}
