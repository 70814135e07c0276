"""The verb ``export``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from oddroad.cli.common import parse_size, say
from oddroad.errors import InputError

For = Annotated[
    Literal["oddroad", "portable", "ncnn", "mnn", "litert", "rknn", "tensorrt", "web"], tyro.conf.arg(name="for")
]
"""What a file is exported for."""


def export(
    checkpoint: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    out: Path,
    for_: For = "oddroad",
    scores: tuple[str, ...] = ("max_logit",),
    size: str = "any",
    upsample: Literal["score", "logits"] = "score",
    weight_storage: Literal["float32", "float16", "int8"] = "float32",
    classes: bool = False,
    stride: int | None = None,
    plugin: Path | None = None,
    precision: Literal["float32", "float16", "int8"] = "float32",
    quantisation_data: Path | None = None,
    quantiser: Literal["auto", "nncf", "onnxruntime"] = "auto",
    flip_tta: bool = False,
    smaller: tuple[float, ...] = (),
    data: tuple[str, ...] = (),
    install: bool = False,
    python: Path | None = None,
) -> None:
    """Write a checkpoint with its scores as one .onnx file, checked against PyTorch in both engines.

    Example: oddroad export erfnet.ckpt --scores msp energy --size 512x1024 --out erfnet.onnx

    Args:
        checkpoint: an oddroad checkpoint, from 'oddroad train' or 'oddroad convert'; several become one ensemble,
            whose scores see the mean of their probabilities, and mutual_information their disagreement. With --for
            also an exported float32 .onnx file of one size, or "default-fp32".
        out: the file to write.
        for_: oddroad: a file that takes images of any size, for ONNX Runtime and OpenVINO; portable: the network and
            its scores alone in plain operators, which every runtime computes right, with its card beside it as .json.
        scores: score maps that the file gives; the first is the default one.
        size: HxW to resize every image to inside the file, such as 512x1024, or "any" to run each at its own size.
        upsample: score: compute the scores at the network's stride and enlarge the maps; logits: enlarge the class
            logits first, slower and as most papers do.
        weight_storage: how the weights are stored in a float32 file; all compute in float32 and are equally fast.
        classes: also give the most likely class of each pixel.
        stride: of erfnet and enet: 1 as published, or 2 for logits averaged over 2 x 2 pixels, which is faster.
        plugin: a Python file of your own that adds to oddroad.learn.scores.SCORES.
        precision: int8: compute in INT8, two to three times faster; the loss of quality is measured and written
            into the card. With --for, what that runtime has: float16, or its own INT8.
        quantisation_data: for --precision int8, the folder that holds cityscapes_small, camvid and coco128-seg.
        quantiser: for --precision int8: nncf, onnxruntime, or the better of the two.
        flip_tta: each score is the mean over the image and its mirror image; twice the time, which is printed.
        smaller: also look at the image made smaller by these factors, such as 0.5, and average: pixels of one camera
            are ranked better; each costs its square of the time. Calibrate on pictures as sharp as the camera's.
        data: with --for, pictures, folders or videos to compare the maps on and to take INT8 ranges from; by default a
            drive of our own with rendered things. AP always comes from that one, whose truth is known.
        install: with --for, make the environment of the converter in the user's cache folder, if it is not there; its
            packages and its size are printed.
        python: with --for, the interpreter of an environment of yours that has the converter's packages.
    """
    target, int8 = parse_size(size), precision == "int8"
    if for_ == "oddroad":
        check_int8_options(int8, quantisation_data, quantiser, weight_storage, flip_tta)
    if for_ == "oddroad" and (data or install or python is not None or precision == "float16"):
        raise InputError("--data, --install, --python and --precision float16 are for --for RUNTIME; leave them out")

    interpreter: Path | None = None

    def onwards(source: Path) -> None:
        if for_ == "portable":
            write_portable(source, out)
        else:
            write_device(source, out, for_, precision, data, interpreter)

    if for_ != "oddroad":
        interpreter = check_device_options(for_, precision, weight_storage, out, python, install)
        if (source := given_file(checkpoint)) is not None:
            own = (
                scores == ("max_logit",), size == "any", upsample == "score", not classes, stride is None, not flip_tta,
                plugin is None, not smaller,
            )  # fmt: skip
            if not all(own):
                raise InputError(
                    f"'{checkpoint[0]}' is exported already; scores, size and the like are for a checkpoint"
                )
            return onwards(source)
        if target is None:
            raise InputError(f"--for {for_} needs one size; pass --size HxW, such as --size 512x1024")
    from oddroad.learn.checkpoints.format import load_networks, load_scores
    from oddroad.learn.export.onnx import export as write

    if plugin is not None:
        from oddroad.learn.plugin import load_plugin

        load_plugin(plugin)
    network, about = load_networks(checkpoint, **({} if stride is None else {"stride": stride}))
    if smaller:
        from oddroad.learn.networks.wrapped import Scales

        network = Scales(network, smaller, known=len(about["classes"]))
        about["origin"] = {**about.get("origin", {}), "smaller": network.words}
    table = load_scores(checkpoint[0] if len(checkpoint) == 1 else None, scores)
    temperature = float(about.get("temperature", 1.0))
    if for_ != "oddroad":
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / f"{out.stem}.onnx"
            write(network, about, table, whole, target, upsample, "float32", classes, temperature, flip_tta=flip_tta)
            return onwards(whole)
    if int8 and quantisation_data is not None:
        from oddroad.learn.export.quantise import export_int8

        options: dict[str, Any] = {"size": target, "upsample": upsample, "temperature": temperature}
        card = export_int8(network, about, table, out, quantisation_data, quantiser, classes, say, **options)
        say(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {', '.join(card.scores)}, input {size}, {card.precision}")
        for name, value in card.quantisation.items():
            say(f"  {name}: {value}")
        return
    card = write(network, about, table, out, target, upsample, weight_storage, classes, temperature, flip_tta=flip_tta)
    megabytes = out.stat().st_size / 1e6
    say(f"{out}: {megabytes:.1f} MB, {', '.join(card.scores)}, input {size}, weights {card.weight_storage}")
    for name, value in card.parity.items():
        say(f"  {name}: {value}")
    if flip_tta:
        from oddroad.learn.predictor import flip_tta_cost_line

        say(f"  {flip_tta_cost_line(network, table, target, upsample, len(card.classes))}")


def given_file(given: tuple[Path, ...]) -> Path | None:
    """The exported file that is given instead of a checkpoint, by its path or as an embedded one's name; or None."""
    from oddroad.inference.model import EMBEDDED, find_model

    if len(given) == 1 and (given[0].suffix == ".onnx" or str(given[0]) in EMBEDDED):
        return find_model(given[0])
    return None


def check_device_options(
    for_: str, precision: str, weight_storage: str, out: Path, python: Path | None, install: bool
) -> Path | None:
    """Refuse what cannot be before any work: options of other files, runtimes that this machine cannot make files for.

    Returns:
        the interpreter of the runtime's environment; None for a portable file, which needs none.

    Raises:
        InputError: naming the option, or what is missing.
    """
    from oddroad.learn.export.environments import find_environment
    from oddroad.learn.export.targets import check_target

    if weight_storage != "float32":
        raise InputError(f"--weight-storage {weight_storage} is for files without --for; leave one of them out")
    if for_ == "portable":
        if precision != "float32":
            raise InputError(f"--precision {precision} is not for a portable file, which is float32: leave one out")
        return None
    target = check_target(for_, precision)
    if out.exists():
        raise InputError(f"'{out}' is there already; give the name of a new folder")
    return find_environment(for_, target, python, install, say)


def write_device(
    source: Path, out: Path, for_: str, precision: str, data: tuple[str, ...], interpreter: Path | None
) -> None:
    """Make a runtime's own files of an exported one, and say what was found."""
    from oddroad.learn.export.devices import export_for

    found = export_for(for_, source, out, precision, data, interpreter, say=say)
    size = sum(each.stat().st_size for each in out.iterdir())
    say(f"{out}: {size / 1e6:.1f} MB, {for_} {found['form']}, {', '.join(found['files'])} and detector.json")
    say(
        f"  maps off by {found['deviation']:.2g} of their standard deviation on average, {found['largest']:.2g} at "
        f"most; AP {100 * found['ap']:.1f}, ONNX Runtime {100 * found['ap_onnxruntime']:.1f}"
    )
    say(f"  {found['speed']:.2f} times as fast here as ONNX Runtime, one thread each, which says little of the device")


def write_portable(source: Path, out: Path) -> None:
    """Make an exported file portable, and say what was found."""
    from oddroad.learn.export.portable import export_portable

    card = export_portable(source, out)
    height, width = card.size or (0, 0)
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {', '.join(card.scores)}, input 1x3x{height}x{width}, portable")
    for name, value in card.parity.items():
        say(f"  {name}: {value}")
    say(f"  {out.with_suffix('.json')}: what a program does around it")


def check_int8_options(
    int8: bool, quantisation_data: Path | None, quantiser: str, weight_storage: str, flip_tta: bool
) -> None:
    """Refuse options that do not belong to the chosen precision, before any work.

    Raises:
        InputError: naming the option.
    """
    if int8 and quantisation_data is None:
        raise InputError("--precision int8 needs --quantisation-data DATA: ranges and report come from the data")
    if not int8 and quantisation_data is not None:
        raise InputError("--quantisation-data is for --precision int8; pass both or leave it out")
    if not int8 and quantiser != "auto":
        raise InputError(f"--quantiser {quantiser} is for --precision int8; pass both or leave it out")
    if int8 and weight_storage != "float32":
        raise InputError(
            f"--weight-storage {weight_storage} is for float32 files; an int8 file stores its weights in INT8: "
            "leave one of them out"
        )
    if int8 and flip_tta:
        raise InputError("--flip-tta doubles the time that --precision int8 saves; leave one of them out")
