"""Which runtime computes the portable file right: measures docs/devices.md and writes its tables.

    python benchmarks/devices.py --work devices --install
    python benchmarks/devices.py --work devices --python ncnn=/opt/ncnn/bin/python --only ncnn
    python benchmarks/devices.py --work devices --only none

Three tables, each kept piece by piece in the work folder, so that an interrupted run goes on and a piece is measured
again where its file is deleted: the embedded detector on every runtime (the command ``oddroad export --for`` itself),
the other networks with random weights, and single operators. ``--only none`` measures nothing and writes the tables.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from oddroad.errors import InputError
from oddroad.inference.model import find_model
from oddroad.learn.export.devices import export_for
from oddroad.learn.export.environments import InEnvironment, find_environment
from oddroad.learn.export.portable import export_portable
from oddroad.learn.export.targets import TARGETS, check_target

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "devices.md"

FORMS = [
    ("openvino", "float32"), ("ncnn", "float32"), ("ncnn", "float16"), ("mnn", "float32"), ("mnn", "float16"),
    ("litert", "float32"), ("litert", "float16"), ("rknn", "float16"), ("rknn", "int8"),
    ("web", "float32"), ("onnx2torch", "float32"), ("tvm", "float32"), ("tensorrt", "float16"),
]  # fmt: skip

NETWORKS = ("erfnet", "enet", "bisenetv1", "bisenetv2", "ddrnet23_slim", "pidnet_s", "mask2anomaly_small")
NORMALISATIONS = {"erfnet": "unit", "enet": "unit", "bisenetv1": "cityscapes", "bisenetv2": "cityscapes"}

SIZE = (256, 512)
"""(H, W) of the other networks."""


def more_runtimes() -> None:
    """Enter the runtimes of the matrix that ``oddroad export`` does not go on to."""
    for each in sorted((HERE / "runtimes").glob("*.py")):
        spec = importlib.util.spec_from_file_location(each.stem, each)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        TARGETS[each.stem] = module


def operators() -> dict[str, onnx.ModelProto]:
    """Each a convolution of the image, an operator, and an output ``y``: what networks and scores are made of."""
    node, one = helper.make_node, np.array([1], np.int64)
    half = {"coordinate_transformation_mode": "half_pixel"}
    up = np.array([1, 1, 2, 2], np.float32)

    def resize(scales: Any = None, sizes: Any = None, **how: Any) -> tuple[list, dict]:
        given = {"s": np.array(scales, np.float32)} if sizes is None else {"s": np.array(sizes, np.int64)}
        names = ["x", "", "s"] if sizes is None else ["x", "", "", "s"]
        return [node("Resize", names, ["y"], **how)], given

    draw = np.random.default_rng(1)
    deep = {"w": draw.normal(0, 0.3, (8, 1, 3, 3)).astype(np.float32)}
    across = {"w": draw.normal(0, 0.3, (8, 8, 3, 1)).astype(np.float32)}
    grown = {"w": draw.normal(0, 0.3, (8, 4, 3, 3)).astype(np.float32)}
    clip = {"a": np.array(0, np.float32), "b": np.array(6, np.float32)}
    cases: dict[str, tuple[list, dict]] = {
        "Resize linear, half_pixel, 2 x": resize(up, mode="linear", **half),
        "Resize linear, half_pixel, 2 x, by sizes": resize(sizes=[1, 8, 48, 80], mode="linear", **half),
        "Resize linear, half_pixel, 4 x": resize([1, 1, 4, 4], mode="linear", **half),
        "Resize linear, half_pixel, 24 x 40 to 37 x 53": resize(sizes=[1, 8, 37, 53], mode="linear", **half),
        "Resize linear, half_pixel, to a half": resize([1, 1, 0.5, 0.5], mode="linear", **half),
        "Resize linear, align_corners, 2 x": resize(up, mode="linear", coordinate_transformation_mode="align_corners"),
        "Resize linear, asymmetric, 2 x": resize(up, mode="linear", coordinate_transformation_mode="asymmetric"),
        "Resize nearest, asymmetric floor, 2 x": resize(
            up, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        ),
        "Resize nearest, half_pixel, 2 x": resize(up, mode="nearest", nearest_mode="round_prefer_floor", **half),
        "Resize cubic, half_pixel, 2 x": resize(up, mode="cubic", **half),
        "Conv, depthwise": ([node("Conv", ["x", "w"], ["y"], group=8, pads=[1, 1, 1, 1])], deep),
        "Conv, 3 x 1, dilation 16": ([node("Conv", ["x", "w"], ["y"], dilations=[16, 1], pads=[16, 0, 16, 0])], across),
        "ConvTranspose, stride 2, output padding 1": (
            [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])], grown,
        ),
        "Clip 0 to 6 (ReLU6)": ([node("Clip", ["x", "a", "b"], ["y"])], clip),
        "AveragePool 5, stride 2, padding not counted": (
            [node("AveragePool", ["x"], ["y"], kernel_shape=[5, 5], strides=[2, 2], pads=[2, 2, 2, 2])], {},
        ),
        "GlobalAveragePool and Mul": ([node("GlobalAveragePool", ["x"], ["g"]), node("Mul", ["x", "g"], ["y"])], {}),
        "ReduceMax of channels": ([node("ReduceMax", ["x"], ["y"], axes=[1])], {}),
        "ReduceMean of channels and Mul": (
            [node("ReduceMean", ["x"], ["m"], axes=[1]), node("Mul", ["x", "m"], ["y"])], {},
        ),
        "Softmax of channels": ([node("Softmax", ["x"], ["y"], axis=1)], {}),
        "LeakyRelu": ([node("LeakyRelu", ["x"], ["y"], alpha=0.1)], {}),
        "not portable: ReduceSum of channels": ([node("ReduceSum", ["x", "a"], ["y"])], {"a": one}),
        "not portable: DepthToSpace CRD": ([node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="CRD")], {}),
        "not portable: GreaterOrEqual and Cast": (
            [
                node("GreaterOrEqual", ["x", "a"], ["g"]), node("Cast", ["g"], ["f"], to=TensorProto.FLOAT),
                node("Mul", ["x", "f"], ["y"]),
            ],
            {"a": np.float32(0.1)},
        ),
        "not portable: Slice of channels": (
            [node("Slice", ["x", "a", "b", "a"], ["y"])], {"a": one, "b": np.array([4], np.int64)},
        ),
        "not portable: Pad reflect": (
            [node("Pad", ["x", "p"], ["y"], mode="reflect")], {"p": np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64)},
        ),
    }  # fmt: skip
    return {name: small(*each) for name, each in cases.items()}


def small(nodes: list, constants: dict[str, Any]) -> onnx.ModelProto:
    """A convolution (1, 3, 24, 40) to 8 channels ``x``, and the nodes."""
    draw = np.random.default_rng(0)
    first = {"k": draw.normal(0, 0.01, (8, 3, 1, 1)).astype(np.float32), "c": draw.normal(0, 1, 8).astype(np.float32)}
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in (first | constants).items()]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 24, 40])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    whole = [helper.make_node("Conv", ["image", "k", "c"], ["x"], kernel_shape=[1, 1]), *nodes]
    graph = helper.make_graph(whole, "operator", [given], [made], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def deviation(worker: InEnvironment, path: Path) -> str:
    """The mean difference of a runtime's outputs to ONNX Runtime's over their standard deviation, on noise; or why not.

    The worst of the outputs.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given, names = session.get_inputs()[0], [each.name for each in session.get_outputs()]
    draw = np.random.default_rng(3)
    coarse = draw.uniform(0, 255, (1, 3, given.shape[2] // 8, given.shape[3] // 8)).repeat(8, 2).repeat(8, 3)
    image = (0.7 * coarse + 0.3 * draw.uniform(0, 255, given.shape)).astype(np.float32)
    wanted = session.run(names, {"image": image})
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        made.mkdir()
        np.save(Path(folder) / "pictures.npy", image)
        np.save(Path(folder) / "image.npy", image)
        try:
            form = "float32" if "float32" in TARGETS[worker.name].FORMS else "float16"
            worker(
                "convert", portable=str(path.resolve()), folder=str(made), form=form, pictures=f"{folder}/pictures.npy"
            )
            worker("open", folder=str(made), outputs=names, threads=1)
            worker("compute", image=f"{folder}/image.npy", result=f"{folder}/result.npz")
        except InputError as error:
            return f"fails: {str(error).removeprefix('the converter failed: ').split('Error: ')[-1][:60]}"
        found = list(np.load(f"{folder}/result.npz").values())
    worst = 0.0
    for ours, theirs in zip(wanted, found, strict=True):
        if ours.shape != theirs.shape:
            return f"shape {'x'.join(map(str, theirs.shape))}"
        worst = max(worst, float(np.abs(ours - theirs).mean() / ours.std())) if np.isfinite(theirs).all() else np.inf
    return f"{worst:.1e}"


def networks(work: Path) -> None:
    """Portable files of the other networks with random weights, or why there is none, in the work folder."""
    (work / "networks").mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        out, refused = work / "networks" / f"{name}.onnx", work / "networks" / f"{name}.txt"
        if out.is_file() or refused.is_file():
            continue
        import torch

        from oddroad.learn.export.onnx import export
        from oddroad.learn.networks import NETWORKS as TABLE

        torch.manual_seed(1)
        about = {
            "network": name, "classes": [f"class {number}" for number in range(19)],
            "normalisation": NORMALISATIONS.get(name, "imagenet"),
        }  # fmt: skip
        whole = work / "networks" / "whole.onnx"
        scores = ["mask2anomaly"] if "mask" in name else ["max_logit", "outlier_head"]
        try:
            export(TABLE[name](classes=19, outlier=True).eval(), about, scores, whole, SIZE, classes="mask" not in name)
            export_portable(whole, out)
        except InputError as error:
            refused.write_text(str(error))
        whole.unlink(missing_ok=True)


def measure(work: Path, name: str, form: str, python: Path, detector_only: bool) -> None:
    """One runtime and form: the embedded detector, and in the first form networks and operators."""
    out = work / f"{name}-{form}"
    if not out.exists():
        try:
            print(export_for(name, find_model("default-fp32"), out, form, python=python, say=print), flush=True)
        except InputError as error:
            out.mkdir()
            (out / "refused.txt").write_text(str(error))
            print(error, flush=True)
    kept = work / f"{name}.json"
    if form != TARGETS[name].FORMS[0] or kept.is_file() or detector_only:
        return
    found: dict[str, dict[str, str]] = {"networks": {}, "operators": {}}
    with tempfile.TemporaryDirectory() as folder:
        files = {("networks", each.stem): each for each in sorted((work / "networks").glob("*.onnx"))}
        for number, (title, model) in enumerate(operators().items()):
            files["operators", title] = Path(folder) / f"{number}.onnx"
            onnx.save(model, files["operators", title])
        for (kind, title), path in files.items():
            with InEnvironment(TARGETS[name], python) as worker:
                worker.name = name
                found[kind][title] = deviation(worker, path)
                print(name, title, found[kind][title], flush=True)
    kept.write_text(json.dumps(found, indent=1))


def cell(value: str) -> str:
    """A deviation as a cell: right below a thousandth, as numbers above."""
    try:
        number = float(value)
    except ValueError:
        return value or "not measured"
    return "right" if number < 1e-3 else f"**off by {number:.2g}**"


def tables(work: Path) -> str:
    """The tables of the page from what the work folder holds."""
    lines = [
        "| Runtime | Version | Form | Mean difference, of the spread | Largest difference | AP, % (ONNX Runtime) |"
        " Speed, ONNX Runtime 1 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, form in FORMS:
        about = work / f"{name}-{form}" / "detector.json"
        if not about.is_file():
            why = work / f"{name}-{form}" / "refused.txt"
            text = why.read_text().split("; nothing")[0] if why.is_file() else "not measured"
            lines.append(f"| {name} | {TARGETS[name].PACKAGES[0].replace('==', ' ')} | {form} | {text} | | | |")
            continue
        device = json.loads(about.read_text())["device"]
        versions = ", ".join(f"{key} {value}" for key, value in device["versions"].items() if key != "numpy")
        lines.append(
            f"| {name} | {versions} | {form} | {device['deviation']:.1e} | {device['largest']:.2g} | "
            f"{100 * device['ap']:.1f} ({100 * device['ap_onnxruntime']:.1f}) | {device['speed']:.2f} |"
        )
    parts = {each.stem: json.loads(each.read_text()) for each in sorted(work.glob("*.json"))}
    order = [name for name in dict.fromkeys(name for name, _ in FORMS) if name in parts]
    for kind, first in (("networks", "Network"), ("operators", "Operator")):
        lines += ["", f"| {first} | {' | '.join(order)} |", f"| --- |{' --- |' * len(order)}"]
        titles = list(dict.fromkeys(title for each in parts.values() for title in each[kind]))
        for title in titles:
            cells = [cell(parts[name][kind].get(title, "")) for name in order]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        for each in sorted((work / "networks").glob("*.txt")) if kind == "networks" else ():
            text = each.read_text().split(", which not every")[0].removeprefix("not portable: the network uses ")
            text = re.sub(r" \(\d+, first '[^']*'\)", "", text)
            lines.append(f"| {each.stem} | {' | '.join([f'not portable: {text}', *[''] * (len(order) - 1)])} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for and not there, and write the page's tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is measured")
    parser.add_argument("--only", nargs="*", default=[], help="runtimes to measure; 'none' for none")
    parser.add_argument("--python", nargs="*", default=[], help="NAME=INTERPRETER of environments that are there")
    parser.add_argument("--install", action="store_true", help="make the environments that are missing")
    parser.add_argument("--detector-only", action="store_true", help="no other networks and no single operators")
    given = parser.parse_args()
    more_runtimes()
    given.work.mkdir(parents=True, exist_ok=True)
    pythons = {name: Path(path) for name, path in (each.split("=", 1) for each in given.python)}
    chosen = [each for each in FORMS if not given.only or each[0] in given.only]
    if chosen:
        networks(given.work)
    for name, form in chosen:
        try:
            target = check_target(name, form)
            python = find_environment(name, target, pythons.get(name), given.install, print)
            measure(given.work, name, form, python, given.detector_only)
        except InputError as error:
            (given.work / f"{name}-{form}").mkdir(exist_ok=True)
            (given.work / f"{name}-{form}" / "refused.txt").write_text(str(error))
            print(error)
    before, _, rest = PAGE.read_text().partition("<!-- measured -->")
    _, _, after = rest.partition("<!-- until here -->")
    PAGE.write_text(f"{before}<!-- measured -->\n\n{tables(given.work)}\n\n<!-- until here -->{after}")


if __name__ == "__main__":
    main()
