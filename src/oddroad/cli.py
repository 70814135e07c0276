"""The command line: one short function for each verb; a bad input is one line and exit code 2."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from oddroad.errors import InputError, pick
from oddroad.recipe import Recipe, read_flags

if TYPE_CHECKING:
    from oddroad.detect import Summary


Words = Annotated[tuple[str, ...], tyro.conf.Positional]
"""Any number of words without a flag before them."""


def detect(
    source: Words,
    /,
    model: str = "default",
    score: str | None = None,
    threshold: str | None = None,
    smallest: int | None = None,
    engine: Literal["auto", "onnxruntime", "openvino"] = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    every: int = 1,
    persist: int = 1,
    latest: bool = False,
    save: tuple[Literal["overlay", "maps", "masks"], ...] = ("overlay",),
    out: Path | None = None,
) -> None:
    """Mark what does not belong on the road, in images, folders, videos, cameras and streams.

    Example: oddroad detect drive.mp4 --save overlay masks

    Args:
        source: images, folders (those of labels are left out), globs, videos, a camera's number, addresses of
            streams (rtsp, http).
        model: an .onnx file of ours, or "default" for the embedded detector.
        score: which of its scores; by default its first.
        threshold: a pixel is odd above it: a number in the score's unit, or what it shall promise, "fpr=0.1%",
            "alarms=1/100frames", "alarms=30/hour", from known frames; by default the one of the detector's card.
        smallest: leave out regions of fewer pixels; by default 1 in 10,000 of the image's pixels.
        engine: what runs the network.
        precision: what it computes in, apart from what the file itself does in 8 bits; bfloat16 needs openvino and a
            processor that has it.
        every: of videos, cameras and streams, judge every n-th frame.
        persist: of videos, cameras and streams, report only what has been seen in so many frames.
        latest: of cameras and streams, judge the newest frame and drop older ones instead of falling behind.
        save: what to write beside detections.jsonl. overlay: pictures (a video for a video); maps: scores as .npy;
            masks: odd pixels as .png. An empty list writes the jsonl alone.
        out: folder for the results; by default out/NAME, NAME being the first source's.
    """
    from oddroad.detect import run
    from oddroad.frames import find_sources, probe
    from oddroad.runtime import Model
    from oddroad.thresholds import threshold_for

    sources = find_sources(source)
    detector = Model(model, engine, precision=precision)
    lengths = [probe(each) for each in sources]
    level, found = None, None
    if threshold is not None:
        rates = [rate / max(every, 1) for _, rate in lengths if rate is not None]
        found = threshold_for(detector.card, threshold, detector.pick_score(score), max(rates, default=None))
        level = found.value
    folder = out or default_out(Path(source[0].rstrip("/")).stem or "frames")
    counts = [count for count, _ in lengths]
    total = None if None in counts else sum(-(-(count or 0) // every) for count in counts) if every > 0 else None
    print(
        f"{detector.card.name} on {detector.engine} with {detector.threads} threads in {detector.precision}, "
        f"score {detector.pick_score(score)}"
    )
    print(f"threshold {found.meaning if found is not None else detector.card.threshold_rule or 'of the card'}")
    with progress_bar(total) as advance:
        summary = run(detector, sources, folder, score, level, smallest, every, save, advance, persist, latest)
    print(f"{summary.line()}; results in {folder}")
    if summary.reading.named:
        raise InputError("; ".join(summary.reading.named[:3]))


def demo(
    out: Path = Path("demo"), seed: int = 0, frames: int = 150, model: str = "default", engine: str = "auto"
) -> None:
    """Render a drive with odd objects on the road, detect on it, and write a video, a contact sheet and figures.

    Example: oddroad demo --out demo --seed 3

    Args:
        out: folder for demo.mp4, contact_sheet.jpg and demo.json.
        seed: of the drive.
        frames: its length.
        model: an .onnx file of ours, or "default".
        engine: what runs the network: auto, onnxruntime, openvino.
    """
    from oddroad.demo import demo as run_demo
    from oddroad.runtime import Model

    detector = Model(model, engine)
    with progress_bar(frames) as advance:
        values = run_demo(detector, out, seed, frames, progress=advance)
    print(
        f"AP {100 * values['ap']:.1f} %, FPR95 {100 * values['fpr95']:.2f} % "
        f"(odd pixels: {100 * values['prevalence']:.2f} %), {values['frames_a_second']:.1f} frames a second on "
        f"{values['engine']}"
    )
    print(f"look at {out / 'contact_sheet.jpg'} and {out / 'demo.mp4'}")


def info(model: Annotated[str, tyro.conf.Positional] = "default", json: bool = False) -> None:
    """Print the card of a detector: what it is, what it was trained on, how well it does, and its limits.

    Example: oddroad info my_detector.onnx

    Args:
        model: an .onnx file of ours, or "default" for the embedded detector.
        json: print the card as one JSON object.
    """
    from oddroad.runtime import describe, read_card

    card = read_card(model)
    print(card.to_json() if json else describe(card))


def train(
    recipe: Recipe,
    root: Path,
    out: Path,
    validate_every: int = 1000,
    start: Path | None = None,
    until: int | None = None,
    fresh: tuple[str, ...] = (),
) -> None:
    """Train a network by a recipe; a run that was stopped goes on where it was.

    Example: oddroad train --recipe recipes/embedded.yaml --recipe.optimiser.rate 5e-4 --root data --out runs/one

    Args:
        recipe: a YAML file; single values are changed by --recipe.GROUP.KEY VALUE.
        root: folder that holds the data sets.
        out: folder for logs, checkpoints and, at the end, model.ckpt.
        validate_every: steps between validations.
        start: a checkpoint of ours to start from instead of random weights.
        until: stop at this step, with the schedule unfinished.
        fresh: beginnings of the names of parameters that --start does not give.
    """
    from oddroad.learn.train import fit

    print(f"trained: {fit(recipe, root, out, validate_every, start, until=until, fresh=fresh)}")


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


@contextlib.contextmanager
def ticking_bar(total: int | None) -> Iterator[Callable[[], None]]:
    """A bar that each call moves by one frame, on the terminal's error stream; silent where there is none."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[Summary], None]]:
    """A bar with frames a second and the time left, on the terminal's error stream; silent where there is none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.1f} frames/s"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total, rate=0.0)
        yield lambda summary: bar.update(task, completed=summary.frames, rate=summary.rate)


def parse_size(text: str) -> tuple[int, int] | None:
    """A size given as HxW, or "any".

    Raises:
        InputError: if it is neither.
    """
    if text == "any":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if found is None:
        raise InputError(f"size '{text}'; expected height x width such as 512x1024, or 'any'")
    return int(found[1]), int(found[2])


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
        network: which network it is for: erfnet, enet, bisenetv1, bisenetv2, ddrnet23_slim, pidnet_s.
        out: the file to write.
        classes: names of its classes, without void; by default those of Cityscapes.
        normalisation: of its input: unit (RGB in [0, 1]), imagenet, or cityscapes; by default the published one.
        licence: terms of use of the weights; they are written into the checkpoint and every file exported from it.
    """
    from oddroad.learn.convert import convert_file

    done = convert_file(file, network, out, classes=classes, normalisation=normalisation, licence=licence)
    print("\n".join([*done.lines(), f"written: {out}, {out.stat().st_size / 1e6:.1f} MB"]))


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
    """
    from oddroad.learn.checkpoint import load_networks, load_scores
    from oddroad.learn.export import export as write

    if plugin is not None:
        from oddroad.learn.plugin import load_plugin

        load_plugin(plugin)
    target = parse_size(size)
    network, about = load_networks(checkpoint, **({} if stride is None else {"stride": stride}))
    table = load_scores(checkpoint[0] if len(checkpoint) == 1 else None, scores)
    temperature = float(about.get("temperature", 1.0))
    kept = "float16" if half and weights == "float32" else weights
    card = write(network, about, table, out, target, upsample, kept, classes, temperature)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {', '.join(card.scores)}, input {size}, weights {card.weights}")
    for name, value in card.parity.items():
        print(f"  {name}: {value}")


def verify_data(root: Path, data: tuple[str, ...] = (), json: bool = False) -> None:
    """List what data sets a folder holds: images, sizes, labels, prevalence, against the published counts.

    Example: oddroad data verify --root ~/datasets

    Ends with exit code 1 if a set is incomplete or something else is wrong with it.

    Args:
        root: folder at or below which the sets lie, in their official layouts or as Validation_Dataset.
        data: names of the sets to look for; by default all.
        json: print one JSON object a line.
    """
    from dataclasses import asdict
    from json import dumps

    from oddroad.datasets import DATASETS
    from oddroad.datasets.verify import describe, verify

    names = [name for name in data if pick(DATASETS, name, "data set")]
    sound = True
    for inventory in verify(root, names):
        sound = sound and not inventory.problems
        print(dumps(asdict(inventory)) if json else describe(inventory), flush=True)
    if not sound:
        raise SystemExit(1)


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
    """
    from oddroad.evaluate import Settings, run_to_file, table
    from oddroad.predict import open_predictor

    opener = open_predictor
    if Path(model).suffix == ".ckpt":
        from oddroad.learn.predict import open_checkpoint as opener
    if plugin is not None:
        from functools import partial

        from oddroad.learn.plugin import open_with_plugin

        opener = partial(open_with_plugin, str(plugin))
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
    print(table(run_to_file(settings, data, root, json)))


def report(results: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path) -> None:
    """Make tables and figures of results, in the shape of the papers' and beside their figures, on one page.

    Example: oddroad report default.json erfnet.json --out report

    Args:
        results: files of 'oddroad evaluate --json'; the pictures beside them are used.
        out: folder for report.html and the tables (.md, .csv, .tex) and figures (.png) in it.
    """
    from oddroad.report import write_report

    for path in write_report(results, out):
        print(path)


VERBS: dict[str, Callable[..., Any]] = {
    "detect": detect,
    "demo": demo,
    "info": info,
    "train": train,
    "convert": convert,
    "export": export,
    "data verify": verify_data,
    "evaluate": evaluate,
    "report": report,
    "calibrate": calibrate,
}
"""Verb -> function. Its parameters are the options, its docstring is the help. A verb may be two words."""


def usage() -> str:
    """The verbs, a line each."""
    lines = ["usage: oddroad VERB [options]", "", "Find what does not belong on the road.", ""]
    lines += [f"  {name:<11} {(inspect.getdoc(verb) or '').splitlines()[0]}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "", "'oddroad VERB --help' explains one."])


def one_line(box: str) -> str:
    """The message of the command-line library, which frames its errors, as a single line."""
    text = re.sub(r"[─╭╮╰╯│┌┐└┘]+|-{5,}|^[|+]|[|+]$", "\n", box, flags=re.MULTILINE)
    parts = [" ".join(line.split()) for line in text.splitlines()]
    kept: list[str] = []
    for part in filter(None, parts):
        if part.startswith(("For full helptext", "Argument helptext")):
            break
        if not kept or part.rstrip(":") not in kept[-1]:
            kept.append(part)
    if len(kept) > 1 and kept[1].startswith(kept[0].rstrip(":")):
        kept = kept[1:]
    return " ".join(kept)


def with_recipe(words: Sequence[str]) -> list[str]:
    """The words with ``--recipe FILE`` replaced by the file's values, before the words that override them."""
    words = list(words)
    if "--recipe" not in words:
        return words
    at = words.index("--recipe")
    if at + 1 == len(words):
        raise InputError("--recipe is not followed by a file; expected a YAML recipe")
    return read_flags(Path(words[at + 1])) + words[:at] + words[at + 2 :]


def parse(verb: str, arguments: Sequence[str]) -> Callable[[], Any]:
    """A call of the verb with its options checked.

    Raises:
        InputError: if an option is unknown or has an impossible value.
    """
    function = pick(VERBS, verb, "verb")
    arguments = with_recipe(arguments)
    errors = io.StringIO()
    bound: list[Callable[[], Any]] = []

    def hold(*args: Any, **kwargs: Any) -> None:
        bound.append(lambda: function(*args, **kwargs))

    hold.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    hold.__doc__ = function.__doc__
    hold.__annotations__ = inspect.get_annotations(function, eval_str=True)
    try:
        with contextlib.redirect_stderr(errors):
            tyro.cli(hold, prog=f"oddroad {verb}", args=list(arguments))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(f"{one_line(errors.getvalue())} ('oddroad {verb} --help' explains)") from None
    return bound[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0
    if " ".join(words[:2]) in VERBS:
        words[:2] = [" ".join(words[:2])]
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(version("oddroad"))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        parse(words[0], words[1:])()
    except InputError as error:
        print(f"oddroad: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = next((name for name, modules in EXTRAS.items() if (error.name or "").split(".")[0] in modules), None)
        if extra is None:
            raise
        print(
            f"oddroad: '{words[0]}' needs {error.name}, which is not installed; run: pip install 'oddroad[{extra}]'",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader of our output has left
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        where = f" '{error.filename}'" if error.filename else ""
        print(f"oddroad: {os.strerror(error.errno)}{where}; free some space or choose another folder", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("oddroad: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


EXTRAS = {
    "openvino": ("openvino",),
    "report": ("matplotlib", "h5py"),
    "learn": (
        "torch", "lightning", "albumentations", "onnx", "onnxscript", "yaml", "safetensors", "transformers", "scipy",
    ),
}  # fmt: skip
"""Extra of the package -> modules that come with it."""


def default_out(name: str) -> Path:
    """Folder for results where none is given."""
    return Path("out") / name


if __name__ == "__main__":
    sys.exit(main())
