"""The verb ``mine``."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from oddroad.cli.common import EngineName, Place, quiet, say
from oddroad.errors import InputError, PartlyFailed, counted, printable

if TYPE_CHECKING:
    from oddroad.card import Card
    from oddroad.detection.tracking import Tracking
    from oddroad.inference.model import Model
    from oddroad.mining.archive import Totals
    from oddroad.mining.pool import Pool
    from oddroad.mining.progress import Progress
    from oddroad.mining.worker import Settings

Words = Annotated[tuple[str, ...], tyro.conf.Positional]


def mine(
    sources: Words,
    /,
    out: Place,
    model: str = "default",
    score: str | None = None,
    threshold: str | None = None,
    min_area: int | None = None,
    min_hits: int | None = None,
    max_age: int | None = None,
    topic: tuple[str, ...] = (),
    seconds: float = 20.0,
    every_second: float = 0.0,
    fast: bool = False,
    workers: int = 0,
    ray: str | None = None,
    retries: int = 2,
    dry_run: bool = False,
    engine: EngineName = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    copies: Path | None = None,
) -> None:
    """Find the odd moments of an archive of drives, on all cores of this machine or on a Ray cluster.

    Example: oddroad mine drives/ --out findings

    Args:
        sources: folders, globs, files, and addresses such as s3://bucket/drives of videos, pictures, MCAP files and
            ROS bags; or a manifest, a .csv or .parquet with a column "source" and maybe "topic".
        out: folder or address of the findings. What is mined there already is skipped.
        model: an oddroad .onnx file, "default" for the embedded detector, "default-fp32" for it in float32,
            "accurate" for the slower one of larger sizes, an address or hf:ORG/NAME; each with @sha256:... or without.
        score: which of its scores; by default its first.
        threshold: a pixel is anomalous above it: a number, or a guaranteed rate, as in 'oddroad detect'; by default
            the one of its card.
        min_area: leave out regions of fewer pixels; by default as the card says, or 1 in 10,000 of the image's.
        min_hits: count only tracks with at least this many hits; by default as the card's alarms were counted, or 1.
        max_age: frames in a row that a track may miss before it ends; by default the card's, or 2.
        topic: of logs, the topics to read; with * and ?. By default all with images.
        seconds: length of a segment, the unit that is read, retried and counted.
        every_second: judge one frame in so many seconds; 0 for every frame.
        fast: judge key frames first (one a second where every frame is one), and the rest only of segments in which
            one of them is as odd as 1 in 100 in-distribution frames.
        workers: processes on this machine; 0 for one for each core.
        ray: address of a Ray cluster, "auto" for the one this machine belongs to, "local" for a new one here.
        retries: tries after the first, for a segment that fails; then it is listed in failed/.
        dry_run: print what would be done and what it costs, and do nothing.
        engine: what runs the network.
        precision: what it computes in, apart from what the file itself does in INT8.
        copies: folder, on each machine, for local copies of files that cannot be read where they are (SQLite and
            ROS 1 bags at addresses); by default a temporary one.
    """
    import pyarrow.parquet  # noqa: F401 - without it nothing can be written; said before any work

    from oddroad.detection.promise import said
    from oddroad.detection.tracking import Tracking
    from oddroad.inference.model import Model
    from oddroad.mining.archive import Plan
    from oddroad.mining.driver import Run, only_run
    from oddroad.mining.store import Store
    from oddroad.mining.worker import Settings

    check_options(seconds, every_second, workers, retries, ray, min_hits, max_age)
    if not sources:
        raise InputError("nothing to mine; pass a folder, a file, an address or a manifest")
    detector = Model(model, engine, threads=1, precision=precision)
    name = detector.pick_score(score)
    tracking = Tracking.of(detector.card.calibration, min_hits, max_age, 1)
    value, meaning = threshold_of(detector, name, threshold, tracking)
    broken = not_promised(detector.card, meaning, tracking, threshold is not None, min_area, every_second, fast)
    folder = str(copies or Path(tempfile.gettempdir()) / "oddroad-copies")
    settings = Settings(
        str(detector.path.resolve()) if ray is None else model, detector.sha256, name, value, said(meaning, broken),
        min_area, tracking.min_hits, tracking.max_age, every_second, fast, detector.engine, precision, folder,
    )  # fmt: skip
    store = Store(out)

    def tell(words: str) -> None:
        if not quiet():
            print(printable(words), file=sys.stderr, flush=True)

    with contextlib.ExitStack() as stack:
        if not dry_run:
            store.check()
            stack.enter_context(only_run(store))
        show = stack.enter_context(bars())
        plan = Plan(store, sources, topic, seconds, folder, lambda totals: show(None, totals))
        stack.callback(plan.close)
        for where, why in plan.totals.failed:
            tell(f"{where}: FAILED: {why}")
        for note in plan.totals.notes:
            tell(note)
        if dry_run:
            print(plan_text(plan.totals, detector, settings), flush=True)
            if plan.totals.failed:
                raise PartlyFailed(f"{counted(len(plan.totals.failed), 'source')} cannot be used")
            return
        if not plan.totals.segments:
            raise InputError("there is nothing to mine: " + "; ".join(why for _, why in plan.totals.failed[:3]))
        store.remove_partials()
        plan.keep(store)
        run = Run(store, plan, settings, make_pool(settings, out, workers, ray), retries,
                  lambda progress: show(progress, plan.totals), tell)  # fmt: skip
        progress = run.work()
    say(f"{progress.summary()}; findings in {out}")
    if progress.failed:
        raise PartlyFailed(
            f"{counted(progress.failed, 'part')} of the archive could not be mined; reasons in {out}/failed"
        )


def check_options(
    seconds: float,
    every: float,
    workers: int,
    retries: int,
    ray: str | None,
    min_hits: int | None = None,
    max_age: int | None = None,
) -> None:
    """Refuse impossible options.

    Raises:
        InputError: naming the option.
    """
    if not 1 <= seconds <= 3600:
        raise InputError(f"--seconds is {seconds:g}; expected 1 to 3600")
    if not 0 <= every <= 3600:
        raise InputError(f"--every-second is {every:g}; expected 0 to 3600 seconds between two judged frames")
    if workers < 0:
        raise InputError(f"--workers is {workers}; expected 1 or more, or 0 for one for each core")
    if workers and ray is not None:
        raise InputError("--workers is for this machine and --ray for a cluster; pass one of them")
    if min_hits is not None and min_hits < 1:
        raise InputError(f"--min-hits is {min_hits}; expected a number of frames, 1 or more")
    if max_age is not None and max_age < 0:
        raise InputError(f"--max-age is {max_age}; expected a number of frames, 0 or more")
    if retries < 0:
        raise InputError(f"--retries is {retries}; expected 0 or more")


def threshold_of(detector: Model, score: str, text: str | None, tracking: Tracking) -> tuple[float, str]:
    """The threshold and its meaning.

    Raises:
        InputError: if the detector has none and none is given.
    """
    from oddroad.calibration.thresholds import threshold_for

    if text is None:
        return detector.threshold(score), detector.card.threshold_meaning or "of the card"
    found = threshold_for(detector.card, text, score, tracking.min_hits)
    return found.value, found.meaning


def not_promised(
    card: Card, meaning: str, tracking: Tracking, looked_up: bool, min_area: int | None, every: float, fast: bool
) -> list[str]:
    """What is mined otherwise than the card's guarantee takes it, in words.

    Args:
        card: of the detector.
        meaning: of the threshold.
        tracking: of the run.
        looked_up: whether the threshold was looked up, for the hits of this run.
        min_area: that was given.
        every: seconds from one judged frame to the next; 0 for every frame.
        fast: whether key frames are judged first.
    """
    from oddroad.calibration.event_thresholds import counts_tracks
    from oddroad.detection.promise import other_tracking

    broken = []
    if min_area is not None and min_area != card.calibration.get("min_area", min_area):
        broken.append(f"regions of {counted(min_area, 'pixel')} are reported, others were calibrated")
    if counts_tracks(meaning):
        broken.append("tracks end with each segment, so that a thing at a border counts twice")
        broken += other_tracking(card, tracking, looked_up)
        if every or fast:
            broken.append("its alarms were counted on frames that follow each other, and this run leaves some out")
    return broken


def make_pool(settings: Settings, out: str, workers: int, ray: str | None) -> Pool:
    """The workers: processes of this machine, or tasks of a Ray cluster."""
    from oddroad.concurrency import available_cores
    from oddroad.mining.pool import LocalPool

    if ray is None:
        return LocalPool(settings, out, workers or available_cores())
    from oddroad.mining.ray_pool import RayPool

    return RayPool(settings, out, ray)


def plan_text(totals: Totals, detector: Model, settings: Settings) -> str:
    """What a run would do, and what it costs: time by a measurement of the detector on this machine."""
    import time

    import numpy as np

    from oddroad.concurrency import available_cores
    from oddroad.mining.progress import duration

    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    detector(image)
    began = time.perf_counter()
    for _ in range(3):
        detector.with_features(image, settings.score)
    each = (time.perf_counter() - began) / 3
    frames = totals.seconds / settings.every if settings.every else totals.seconds * 25
    cores = available_cores()
    rate = f"one frame in {settings.every:g} s" if settings.every else "25 frames per second"
    return "\n".join([
        f"{counted(totals.logs, 'log')}, {counted(totals.segments, 'segment')}, {totals.seconds / 3600:.2f} h of "
        f"driving, {totals.size / 1e9:.3f} GB to read",
        f"days: {', '.join(f'{day} ({count})' for day, count in sorted(totals.days.items())[:10])}",
        f"at {rate} about {counted(frames, 'frame', '.0f')}, {each * 1e3:.0f} ms each with this detector on one core "
        "here: "
        f"{duration(frames * each)} of one core, {duration(frames * each / cores)} with the {cores} there are; what "
        "was mined before is not deducted",
    ])  # fmt: skip


@contextlib.contextmanager
def bars() -> Iterator[Callable[[Progress | None, Totals], None]]:
    """A line on the error stream that says how far it is; a new one every half minute where that is no terminal."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    shown = console.is_terminal and not quiet()
    last = time.monotonic()
    with Bars(BarColumn(), TextColumn("{task.description}"), console=console, disable=not shown, transient=True) as bar:
        task = bar.add_task("planning", total=None)

        def show(progress: Progress | None, totals: Totals) -> None:
            nonlocal last
            text = (
                f"planning: {counted(totals.logs, 'log')}, {counted(totals.segments, 'segment')}"
                if progress is None
                else progress.text()
            )
            done = 0 if progress is None else progress.done + progress.skipped + progress.failed
            bar.update(task, description=text, completed=done, total=totals.segments if progress else None)
            if not shown and not quiet() and time.monotonic() - last > 30:
                last = time.monotonic()
                print(printable(text), file=sys.stderr, flush=True)

        yield show
