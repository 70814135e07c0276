"""What `oddroad mine` costs: workers, the plain Ray Data and Daft ways, memory, starting again, `--fast`, and a fleet.

    python benchmarks/mining.py PART [--video FILE] [--copies 8] [--rounds 3]

Parts:
    workers   one and two local workers on the same files, in turn: the ratio of their throughputs, the processor time
              of each, and what two processes with nothing but the network reach on this machine
    ray-data  the same files by `ray.data.read_videos` and `map_batches` with an ONNX session an actor, as one writes it
    daft      the same files by `daft.read_video_frames` and a class UDF (`pip install daft`)
    memory    of the driver over 1000 and 10,000 simulated segments; of a worker over a short and a long file
    start     seconds until a run knows that an archive of 100,000 segments is finished
    fast      findings that `--fast` keeps, and the frames it saves
    cost      1,000,000 hours of driving on paper, from costs measured here

Each prints what it measures; the last line is JSON. Findings are compared, not only speeds. It needs `oddroad[mine]`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.benchmarking.environment import processor
from oddroad.inference.model import Model
from oddroad.mining.archive import PLANS, Plan, key_of, line_of
from oddroad.mining.driver import Run
from oddroad.mining.manifest import Manifest, fold, read_findings, read_segments
from oddroad.mining.plan import LogPlan, Segment
from oddroad.mining.pool import LocalPool, Outcome
from oddroad.mining.sources import LogSource
from oddroad.mining.store import Store
from oddroad.mining.tables import segments_part
from oddroad.mining.worker import Settings

HOUR = 3600.0


def settings(**changes: Any) -> Settings:
    """Settings with the embedded detector."""
    model = Model(threads=1)
    values = {"threshold": model.threshold(), "meaning": "of the card", **changes}
    return Settings(str(model.path), model.sha256, model.scores[0], **values)


def archive(video: Path, copies: int, folder: Path) -> Path:
    """So many copies of a video that count as different ones: each holds another title."""
    import av

    folder.mkdir(parents=True)
    for number in range(copies):
        with av.open(str(video)) as source, av.open(str(folder / f"{number}.mp4"), "w") as out:
            out.metadata["title"] = f"copy {number}"
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
    return folder


def mined(sources: Path, out: Path, made: Settings, workers: int, seconds: float = 5.0) -> float:
    """Seconds that mining takes, from the start of the workers' processes to the last table; planning is not in it."""
    store = Store(str(out))
    with closing(Plan(store, [str(sources)], (), seconds, str(out / "copies"))) as plan:
        run = Run(store, plan, made, LocalPool(made, str(out), workers))
        began = time.perf_counter()
        progress = run.work()
    assert not progress.failed, "something failed"
    return time.perf_counter() - began


def boxes(out: Path) -> set[tuple[Any, ...]]:
    """What was found: log, frame's time, box."""
    rows = read_findings(str(out), ["log", "time", "x0", "y0", "x1", "y1"]).to_pylist()
    return {(row["log"], row["time"], row["x0"], row["y0"], row["x1"], row["y1"]) for row in rows}


def processor_seconds() -> tuple[float, float]:
    """Processor time of this process, and of the workers that have ended."""
    both = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, workers = (each.ru_utime + each.ru_stime for each in both)
    return own, workers


def network_alone(processes: int, frames: int = 200) -> float:
    """Frames per second of so many processes at once that do nothing but run the network, one thread each."""
    code = (
        "import sys, time, numpy as np; from oddroad.inference.model import Model\n"
        "model, image = Model(threads=1), np.random.default_rng(0).integers(0, 256, (540, 960, 3), np.uint8)\n"
        "model(image); print('ready', flush=True); sys.stdin.readline(); began = time.perf_counter()\n"
        f"for _ in range({frames}): model(image)\n"
        "print(time.perf_counter() - began, flush=True)"
    )
    words, pipe = [sys.executable, "-c", code], subprocess.PIPE
    started = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)]
    pipes = [(each.stdin, each.stdout) for each in started]
    for _, out in pipes:
        assert out is not None
        assert out.readline() == "ready\n"
    for given, _ in pipes:
        assert given is not None
        given.write("go\n")
        given.flush()
    seconds = [float(each.communicate()[0]) for each in started]
    return sum(frames / each for each in seconds)


def part_workers(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One worker and two, in turn."""
    made, drives = settings(), archive(given.video, given.copies, folder / "drives")
    took: dict[int, list[float]] = {1: [], 2: []}
    spent: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    alone: list[float] = []
    found = []
    for number in range(given.rounds):
        for workers in (1, 2):
            out = folder / f"out{number}{workers}"
            before = processor_seconds()
            took[workers].append(mined(drives, out, made, workers))
            spent[workers].append(tuple(b - a for a, b in zip(before, processor_seconds(), strict=True)))  # type: ignore[arg-type]
            found.append(boxes(out))
        alone.append(network_alone(2) / network_alone(1))
    assert all(each == found[0] for each in found), "findings differ"
    ratios = [one / two for one, two in zip(took[1], took[2], strict=True)]
    return {
        "one": took[1], "two": took[2], "ratios": ratios, "median": float(np.median(ratios)),
        "processor seconds of driver and workers, one": spent[1], "likewise, two": spent[2],
        "ratios of two processes with the network alone": alone, "their median": float(np.median(alone)),
    }  # fmt: skip


class PlainDetector:
    """The detector as one writes it for map_batches: a session an actor, every frame at once."""

    def __init__(self, path: str, threshold: float):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.threshold = threshold

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        import cv2

        rows: dict[str, list[Any]] = {"frame": [], "boxes": []}
        for number, image in enumerate(batch["frame"]):
            heat = self.session.run(None, {"image": np.ascontiguousarray(image)[None]})[0][0]
            mask = (heat > self.threshold).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
            large = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= image.shape[0] * image.shape[1] // 10_000]
            rows["frame"].append(int(batch["frame_index"][number]) if "frame_index" in batch else number)
            rows["boxes"].append(len(large))
        return rows


def part_ray_data(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The plain Ray Data way against ours, on the same files, in turn."""
    import ray

    made, drives = settings(), archive(given.video, given.copies, folder / "drives")
    cores = given.workers
    took: dict[str, list[float]] = {"ray data": [], "oddroad": []}
    counts: dict[str, int] = {}
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    for number in range(given.rounds):
        began = time.perf_counter()
        data = ray.data.read_videos([str(each) for each in sorted(drives.iterdir())])
        data = data.map_batches(
            PlainDetector,
            batch_size=16,
            concurrency=(
                1,
                cores,
            ),  # as many actors as cores, from the start, leave none to read with: it waits for ever
            fn_constructor_args=(made.model, made.threshold),
        )
        rows = data.take_all()
        took["ray data"].append(time.perf_counter() - began)
        counts["ray data, frames with a finding"] = sum(row["boxes"] > 0 for row in rows)
        counts["ray data, frames"] = len(rows)
        out = folder / f"out{number}"
        took["oddroad"].append(mined(drives, out, made, cores))
        segments = read_segments(str(out)).to_pylist()
        counts["oddroad, frames with a finding"] = sum(row["frames_with"] for row in segments)
        counts["oddroad, frames"] = sum(row["judged"] for row in segments)
    ray.shutdown()
    ratios = [theirs / ours for theirs, ours in zip(took["ray data"], took["oddroad"], strict=True)]
    return {**took, **counts, "ratios": ratios, "median": float(np.median(ratios))}


def part_daft(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Daft's way against ours, on the same files, in turn."""
    import daft

    made, drives = settings(), archive(given.video, given.copies, folder / "drives")
    model = Model(threads=1)
    _, size = first_frame(given.video)

    @daft.cls
    class Detector:
        def __init__(self) -> None:
            self.plain = PlainDetector(made.model, made.threshold)

        @daft.method(return_dtype=daft.DataType.int64())
        def __call__(self, image: np.ndarray) -> int:
            return self.plain({"frame": np.asarray(image)[None]})["boxes"][0]

    took: dict[str, list[float]] = {"daft": [], "oddroad": []}
    counts: dict[str, int] = {}
    for number in range(given.rounds):
        began = time.perf_counter()
        frames = daft.read_video_frames(f"{drives}/*.mp4", image_height=size[0], image_width=size[1])
        rows = frames.select(Detector()(frames["data"]).alias("boxes")).to_pydict()["boxes"]
        took["daft"].append(time.perf_counter() - began)
        counts["daft, frames with a finding"], counts["daft, frames"] = sum(each > 0 for each in rows), len(rows)
        out = folder / f"out{number}"
        took["oddroad"].append(mined(drives, out, made, given.workers))
        segments = read_segments(str(out)).to_pylist()
        counts["oddroad, frames with a finding"] = sum(row["frames_with"] for row in segments)
    ratios = [theirs / ours for theirs, ours in zip(took["daft"], took["oddroad"], strict=True)]
    return {**took, **counts, "model": model.card.name, "ratios": ratios, "median": float(np.median(ratios))}


def rendered(path: Path, frames: int = 400) -> Path:
    """A rendered drive of 10 frames a second, with a key frame a second, and an odd thing now and then."""
    from fractions import Fraction

    import av

    from oddroad.synthetic.scenes import Street

    speed = 14.0
    length = frames / 10 * speed
    street = Street(1, (360, 640), length + 60, anomalies=max(round(length / 140), 1))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "10", "sc_threshold": "0", "crf": "12"}
        for number in range(frames):
            image, _ = street.view(number / 10 * speed, number / 10)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def first_frame(video: Path) -> tuple[float, tuple[int, int]]:
    """Seconds and (height, width) of a video."""
    import av

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        return float(container.duration or 0) / 1e6, (stream.height, stream.width)


def segment(log: str, source: LogSource, number: int) -> Segment:
    """A made-up segment of 20 s."""
    start, stop = number * 20_000_000, (number + 1) * 20_000_000
    return Segment(log, source, "", (0, start), (0, stop), 10**18 + start * 1000, "utc", 20.0, 10_000_000)


def record(each: Segment, made: Settings) -> dict[str, Any]:
    """The row of a made-up segment."""
    counts = {"read": 500, "judged": 500, "skipped": 0, "damaged": 0, "lost": 0}
    return {
        "segment": each.name(made.made_of), "log": each.source.name, "log_id": each.log, "topic": "", "camera": "c",
        "day": each.day, "model": made.short_model, "clock": "utc", "start": each.time, "end": each.time,
        "seconds": 20.0,
        **counts, "findings": 0, "tracks": 0, "frames_with": 0, "width": 1, "height": 1, "part": "", "part_bytes": 0,
        "reason": "", "addresses": [], "settings": made.made_of, "took": 1.0, "position": "",
    }  # fmt: skip


def made_up(folder: Path, out: Path, logs: int, each: int) -> None:
    """Files that stand for logs, and their plan in the store, as an earlier run has left it."""
    folder.mkdir(parents=True)
    lines = []
    for number in range(logs):
        path = folder / f"{number:06d}.mcap"
        path.write_bytes(b"\x89MCAP0\r\n" + str(number).encode())
        source = LogSource("mcap", path.name, (str(path),))
        log = hashlib.sha256(str(number).encode()).hexdigest()[:16]
        segments = [segment(log, source, at) for at in range(each)]
        lines.append(line_of(key_of(source, (), 20.0), LogPlan(source, log, "", segments)))
    Store(str(out)).replace(PLANS, b"".join(lines))


class ImaginedPool:
    """Workers that are done at once."""

    def __init__(self, made: Settings):
        self.made, self.capacity = made, 8
        self.waiting: list[tuple[str, dict[str, Any]]] = []

    def submit(self, key: str, values: Any) -> None:
        """Take a segment."""
        self.waiting.append((key, dict(values)))

    def wait(self, seconds: float) -> list[Outcome]:
        """All of them are done."""
        del seconds
        found = [Outcome(key, record(Segment.from_json(values), self.made)) for key, values in self.waiting]
        self.waiting.clear()
        return found

    def close(self) -> None:
        """Nothing to end."""


def resident() -> float:
    """Memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def part_memory(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Memory of the driver by the number of segments, and of a worker by the length of a file."""
    made, found = settings(), {}
    for logs in (10, 100):
        drives, out = folder / f"drives{logs}", folder / f"out{logs}"
        made_up(drives, out, logs, 100)
        store = Store(str(out))
        before = resident()
        with closing(Plan(store, [str(drives)], (), 20.0, str(folder))) as plan:
            Run(store, plan, made, ImaginedPool(made)).work()
            found[f"driver, {logs * 100} segments, MB more"] = round(resident() - before, 1)
    code = (
        "import sys, resource; sys.path.insert(0, 'benchmarks'); import mining as m; from pathlib import Path; from "
        "oddroad.mining.worker import mine_segment; from oddroad.mining.plan import plan_log; from "
        "oddroad.mining.sources import find_logs; made = m.settings(every=1.0)\n"
        "for source in find_logs([sys.argv[1]], print):\n"
        "    for each in plan_log(source, (), 20.0, '').segments: mine_segment(each.to_json(), made, sys.argv[2])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    for times in (1, 8):
        long = folder / f"long{times}.mp4"
        repeated(given.video, times, long)
        done = subprocess.run(
            [sys.executable, "-c", code, str(long), str(folder / f"w{times}")],
            capture_output=True,
            text=True,
            check=True,
        )
        found[f"worker, {times} x the video, MB"] = int(done.stdout.split()[-1])
    return found


def repeated(video: Path, times: int, out: Path) -> None:
    """A video several times behind itself."""
    import av

    with av.open(str(out), "w") as target:
        stream, shift = None, 0
        for _ in range(times):
            with av.open(str(video)) as source:
                chosen = source.streams.video[0]
                stream = stream or target.add_stream_from_template(chosen)
                last = 0
                for packet in source.demux(chosen):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                    last = packet.dts + (packet.duration or 0)
                    packet.stream = stream
                    target.mux(packet)
                shift = last


def part_start(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds until a run knows that nothing is left to do."""
    del given
    made, drives, out = settings(), folder / "drives", folder / "out"
    made_up(drives, out, 556, 180)
    store = Store(str(out))
    with closing(Plan(store, [str(drives)], (), 20.0, str(folder))) as plan:
        records = [record(each, made) for each in plan.segments(made.made_of)]
    manifest = Manifest()
    for first in range(0, len(records), 5000):
        rows = records[first : first + 5000]
        name = f"segments/{first}.parquet"
        store.replace(name, segments_part(rows))
        manifest.segments.append({"file": name, "rows": len(rows), "bytes": 0})
    manifest.write(store)
    began, core = time.perf_counter(), time.process_time()
    with closing(Plan(store, [str(drives)], (), 20.0, str(folder))) as plan:
        planned = time.perf_counter()
        progress = Run(store, plan, made, ImaginedPool(made)).work()
    assert (progress.done, progress.skipped) == (0, len(records))
    fold(store)
    took, used = time.perf_counter() - began, time.process_time() - core
    return {
        "segments": len(records),
        "seconds": round(took, 2),
        "core seconds": round(used, 2),
        "of them planning": round(planned - began, 2),
    }


def part_fast(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Tracks that --fast keeps of those that judging every frame finds, and the frames it judges."""
    drives = archive(given.video, 1, folder / "drives")
    found: dict[str, Any] = {}
    tracks: dict[str, set[Any]] = {}
    for name, fast in (("all", False), ("fast", True)):
        out = folder / name
        mined(drives, out, settings(fast=fast, threshold=given.threshold or settings().threshold), 1, given.seconds)
        rows = read_segments(str(out)).to_pylist()
        found[f"{name}, frames judged"] = sum(row["judged"] for row in rows)
        tracks[name] = boxes(out)
        found[f"{name}, findings"] = len(tracks[name])
    kept = len(tracks["fast"] & tracks["all"]) / len(tracks["all"]) if tracks["all"] else None
    found["share of findings kept"] = kept  # None where there are none to keep
    found["share of frames judged"] = found["fast, frames judged"] / found["all, frames judged"]
    return found


def part_cost(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A fleet on paper: what a million hours take, from what one frame and one hour take here."""
    made, drives = settings(), archive(given.video, 1, folder / "drives")
    began = time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    mined(drives, folder / "out", made, 1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = read_segments(str(folder / "out")).to_pylist()
    frames = sum(row["judged"] for row in rows)
    core = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    each = core / frames
    size = sum(path.stat().st_size for path in drives.iterdir())
    seconds = sum(row["seconds"] for row in rows)
    hours, found = 1_000_000, {"core ms a frame": round(each * 1e3, 1), "driver's share": time.process_time() - began}
    for rate in (25.0, 10.0, 1.0):
        core_hours = hours * rate * each
        found[f"{rate:g} FPS: core hours for 1,000,000 hours"] = round(core_hours)
        found[f"{rate:g} FPS: machines of 96 cores for 30 days"] = round(core_hours / 96 / 24 / 30, 1)
        found[f"{rate:g} FPS: price per 1000 hours at {given.price:g} a core hour"] = round(
            1000 * rate * each * given.price, 2
        )
    found["bytes read, TB"] = round(size / seconds * HOUR * hours / 1e12, 1)
    found["findings, GB at 1 finding a second"] = round(hours * HOUR * 600 / 1e9)
    return found


PARTS = {
    "workers": part_workers, "ray-data": part_ray_data, "daft": part_daft, "memory": part_memory,
    "start": part_start, "fast": part_fast, "cost": part_cost,
}  # fmt: skip


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--video", type=Path, help="by default a rendered drive of 40 s")
    parser.add_argument("--frames", type=int, default=400, help="of the rendered drive")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a segment, in the part fast")
    parser.add_argument("--threshold", type=float, help="in the part fast; the card's by default")
    parser.add_argument("--price", type=float, default=0.02, help="of a core hour, in any currency")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mining"))
    try:
        given.video = given.video or rendered(folder / "rendered.mp4", given.frames)
        found = PARTS[given.part](given, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in found.items():
        print(f"{name}: {value}")
    print(json.dumps({"part": given.part, "machine": processor(), **found}))


if __name__ == "__main__":
    main()
