"""A day of a camera, compressed: `oddroad detect` on a live stream at the highest rate that the machine holds.

    python runs/endurance.py --seconds 2100 --out endurance.json --figure endurance.png

A server in this process is the camera: pictures over HTTP (multipart JPEG), which stall, end, are cut off in the middle
of a picture, come back in another size, stay away, or are damaged, every few minutes of stream time. It numbers what it
sends. `oddroad detect` runs as a user starts it, with rotated results, which are read, added up and removed. Kept every
few seconds: its memory, open files, threads and processor time, and the latency of the frames. At the end every frame
that was sent is accounted for: judged, damaged, dropped or lost, each with the reason that the results give.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

RATE = 15.0
"""Frames per second of the camera that the run stands for."""

SIZES = ((48, 64), (64, 96), (40, 56))
"""(rows, columns) of the pictures, another one at each change."""

EVENTS = ("ends", "cut off", "pauses", "changes its size", "is damaged", "stays away", "stalls")
"""What happens to a connection, in turn; what "stalls" gives nothing for longer than the reader waits."""

CLEAN = ("ends", "pauses", "changes its size", "stays away", "stalls")
"""Events at which everything that was sent can be read."""

PATIENCE = 60
"""Seconds that detect waits for the camera to come back."""

WAITING = 100_000
"""Bytes that may wait to be read; more would be sent into the buffers of the system long before they are read."""

PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@dataclass
class Connection:
    """What was sent over one connection.

    Attributes:
        event: how it went on or ended.
        whole: pictures sent whole and undamaged.
        damaged: pictures sent of which bytes were changed.
        cut: pictures sent in part.
    """

    event: str
    whole: int = 0
    damaged: int = 0
    cut: int = 0

    @property
    def count(self) -> int:
        """Pictures of which anything was sent."""
        return self.whole + self.damaged + self.cut


def pictures(size: tuple[int, int], count: int = 32) -> list[bytes]:
    """JPEG files of a road on which a bright thing moves."""
    import cv2

    height, width = size
    found = []
    for number in range(count):
        image = np.full((height, width, 3), 90, np.uint8)
        image[: height // 3] = (200, 180, 160)
        if number % 4 < 3:
            x = number * width // count
            image[height // 2 : height // 2 + 8, x : x + 8] = 250
        image[0, 0] = number  # no two are the same
        image[-6:, : number + 1] += 20
        found.append(cv2.imencode(".jpg", image)[1].tobytes())
    return found


class StreamServer(threading.Thread):
    """The camera.

    Args:
        connections: seconds that short and long connections last.
        seed: of what happens when.
    """

    def __init__(self, connections: tuple[float, float], seed: int):
        super().__init__(daemon=True, name="camera")
        self.lengths, self.draw = connections, random.Random(seed)
        self.kept = {size: pictures(size) for size in SIZES}
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.sent: list[Connection] = []
        self.stopping = threading.Event()
        self.size = 0

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/video.mjpg"

    def run(self) -> None:
        """Serve one connection after the other until it is told to stop."""
        number = 0
        while not self.stopping.is_set():
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            event = EVENTS[number % len(EVENTS)]
            sent = Connection(event)
            self.sent.append(sent)
            try:
                client.recv(4096)
                client.sendall(HEAD)
                self.serve(client, sent, self.draw.uniform(0.7, 1.3) * self.lengths[number % 2])
            except OSError as error:
                sent.event += f" ({error.strerror})"
            number += 1
            if event == "stays away" and not self.stopping.is_set():
                self.stay_away(4.0)

    def stay_away(self, seconds: float) -> None:
        """Refuse connections."""
        port = self.socket.getsockname()[1]
        self.socket.close()
        time.sleep(seconds)
        self.socket = socket.create_server(("127.0.0.1", port))

    def serve(self, client: socket.socket, sent: Connection, seconds: float) -> None:
        """Send pictures for some seconds, then let happen what shall."""
        until, at = time.monotonic() + seconds, 0
        while time.monotonic() < until and not self.stopping.is_set():
            kept = self.kept[SIZES[self.size % len(SIZES)]]
            data = kept[at % len(kept)]
            at += 1
            damaged = sent.event == "is damaged" and at % 50 == 0
            if damaged:
                place = self.draw.randrange(len(data) // 2, len(data) - 10)
                data = data[:place] + bytes([255, 217]) + data[place + 2 :]
            client.sendall(PART % len(data) + data + b"\r\n")
            sent.damaged += damaged
            sent.whole += not damaged
            while at % 20 == 0 and waiting(client) > WAITING and not self.stopping.is_set():
                time.sleep(0.005)
            if sent.event == "changes its size" and at % 2000 == 0:
                self.size += 1
            if sent.event == "pauses" and at % 3000 == 0:
                time.sleep(2.0)
        if sent.event == "cut off":
            data = self.kept[SIZES[self.size % len(SIZES)]][0]
            client.sendall(PART % len(data) + data[: len(data) // 2])
            sent.cut += 1
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # what waits is gone
        if sent.event == "stalls" and not self.stopping.is_set():
            time.sleep(14.0)
        client.close()


def waiting(client: socket.socket) -> int:
    """Bytes that the other end has received and not read yet."""
    place = f"0100007F:{client.getpeername()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        if parts[1] == place:
            return int(parts[4].partition(":")[2], 16)
    return 0


def detector(path: Path) -> None:
    """A detector of three nodes: brightness, 0 to 1."""
    from onnx import TensorProto, helper

    from oddroad.card import Card
    from oddroad.inference.integrity import with_card

    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "most"], ["brightness"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])],
        [helper.make_tensor_value_info("brightness", TensorProto.FLOAT, [1, "height", "width"])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [1], [3]),
            helper.make_tensor("most", TensorProto.FLOAT, [], [255.0]),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = Card("brightness", "none", ("brightness",), None, 1, ("dark", "light"), thresholds={"brightness": 0.9})
    path.write_bytes(with_card(model.SerializeToString(), card))


@dataclass
class Sample:
    """What a process is at a moment.

    Attributes:
        seconds: since the start.
        frames: lines of frames read so far.
        resident: bytes of memory that are its own and resident.
        files: open files.
        threads: threads.
        processor: seconds of processor time.
    """

    seconds: float
    frames: int
    resident: int
    files: int
    threads: int
    processor: float


def sample(process: int, seconds: float, frames: int) -> Sample:
    """Look at a process."""
    folder = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    used = (folder / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        round(seconds, 2), frames, 1024 * int(status["RssAnon"].split()[0]), len(list((folder / "fd").iterdir())),
        int(status["Threads"]), (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK"),
    )  # fmt: skip


class Reader:
    """Adds up the results part by part, and removes what is read.

    Args:
        out: folder of the run.
    """

    def __init__(self, out: Path):
        self.out, self.part = out, 1
        self.count: Counter[str] = Counter()
        self.last_index = -1
        self.gaps: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.latency: list[tuple[float, float]] = []  # seconds since the start, milliseconds
        self.wrong: list[str] = []

    def parts(self, ended: bool) -> Iterator[Path]:
        """Parts that nobody writes to any more."""
        while (self.out / f"{self.part:04d}").is_dir() and (ended or (self.out / f"{self.part + 1:04d}").is_dir()):
            yield self.out / f"{self.part:04d}"
            self.part += 1

    def read(self, ended: bool = False) -> None:
        """Take in what is new."""
        for folder in self.parts(ended):
            for line in (folder / "detections.jsonl").read_text().splitlines():
                self.take(json.loads(line))
            shutil.rmtree(folder)

    def take(self, line: dict[str, Any]) -> None:
        """Count a line."""
        self.count[line["type"]] += 1
        if line["type"] == "frame":
            self.count[line["status"]] += 1
            self.count["regions"] += len(line["regions"] or [])
            if line["index"] <= self.last_index:
                self.wrong.append(f"frame {line['index']} after {self.last_index}")
            self.count["between"] += line["index"] - self.last_index - 1
            self.last_index = line["index"]
            spent = sum(value for stage, value in line["milliseconds"].items() if stage != "decode")
            self.latency.append((line["time"], spent))
        elif line["type"] == "gap":
            self.gaps.append(line)
        elif line["type"] == "summary" and "part" not in line:
            self.summary = line


def quarters(values: list[tuple[float, float]], parts: int = 4) -> list[dict[str, float]]:
    """Percentiles of the latency in each part of the run."""
    found = []
    for each in np.array_split(np.array([value for _, value in values]), parts):
        found.append({f"p{p}": round(float(np.percentile(each, p)), 2) for p in (50, 95, 99)} | {"frames": len(each)})
    return found


def account(server: StreamServer, reader: Reader) -> dict[str, Any]:
    """What was sent against what the results say.

    The index of the first frame after each gap says how many frames were read before it, so that what a connection
    lost is known one by one.
    """
    sent, summary = [each for each in server.sent if each.count], reader.summary
    read = summary["frames"] + summary["damaged"] + summary["dropped"]
    edges = [0, *(gap["index"] for gap in reader.gaps), read]
    told = [words for words in summary["skipped"] if "could not be decoded" in words]
    undecoded = sum(int(words.split(": ")[1].split()[0]) for words in told)
    total = sum(each.count for each in sent)
    by_event: dict[str, dict[str, int]] = {}
    for number, each in enumerate(sent):
        held = edges[min(number + 1, len(edges) - 1)] - edges[min(number, len(edges) - 1)]
        row = by_event.setdefault(each.event, {"connections": 0, "sent": 0, "read": 0, "not read": 0})
        for name, value in (("connections", 1), ("sent", each.count), ("read", held), ("not read", each.count - held)):
            row[name] += value
    return {
        "sent": total,
        "read": read,
        "judged": summary["frames"],
        "damaged": summary["damaged"],
        "dropped": summary["dropped"],
        "not decodable": undecoded,
        "lost with a connection that broke": total - read - undecoded,
        "sent damaged": sum(each.damaged for each in sent),
        "connections": len(sent),
        "gaps": len(reader.gaps),
        "reasons": Counter(str(gap["reason"]) for gap in reader.gaps),
        "lines of frames": reader.count["frame"],
        "by event": by_event,
        "wrong": reader.wrong,
    }


def draw(samples: list[Sample], latency: list[tuple[float, float]], path: Path) -> None:
    """Memory, open files and latency over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(8, 6.5), sharex=True, layout="constrained")
    times = [each.seconds / 60 for each in samples]
    axes[0].plot(times, [each.resident / 1e6 for each in samples], color="#b3261e")
    axes[0].set(ylabel="memory, MB", ylim=(0, None))
    axes[1].plot(times, [each.files for each in samples], label="open files")
    axes[1].plot(times, [each.threads for each in samples], label="threads")
    axes[1].set(ylim=(0, None))
    axes[1].legend(frameon=False)
    edges = np.linspace(0, latency[-1][0], 101)
    at = np.array([time for time, _ in latency])
    spent = np.array([value for _, value in latency])
    for percentile in (50, 95, 99):
        found = [
            np.percentile(spent[(at >= low) & (at < high)], percentile) if ((at >= low) & (at < high)).any() else np.nan
            for low, high in itertools.pairwise(edges)
        ]
        axes[2].plot(edges[:-1] / 60, found, label=f"{percentile} %")
    axes[2].set(ylabel="latency, ms", xlabel="minutes", ylim=(0, None))
    axes[2].legend(frameon=False, ncols=3)
    figure.savefig(path, dpi=110)


def options() -> argparse.Namespace:
    """What was asked for."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--seconds", type=float, default=2100)
    words.add_argument("--connections", type=float, nargs=2, default=(6.0, 20.0), help="seconds of short and long ones")
    words.add_argument("--detect", nargs="*", default=["--save"], help="more words for detect")
    words.add_argument("--rotate", default="20MB")
    words.add_argument("--every", type=float, default=5.0, help="seconds between two looks at the process")
    words.add_argument("--patience", type=float, default=PATIENCE)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--out", type=Path)
    words.add_argument("--figure", type=Path)
    return words.parse_args()


def main() -> int:
    """Run it; 1 where a frame is not accounted for, or memory or files grew."""
    given = options()
    server = StreamServer(tuple(given.connections), given.seed)
    server.start()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        detector(folder / "brightness.onnx")
        words = [sys.executable, "-m", "oddroad.cli", "detect", server.address, "--quiet"]
        words += [
            "--model",
            str(folder / "brightness.onnx"),
            "--min-area",
            "4",
            "--out",
            str(folder / "out"),
            "--rotate",
            given.rotate,
            "--heartbeat",
            "10",
        ]
        words += ["--patience", str(given.patience), *given.detect]
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(words, stderr=said, stdout=said)
        reader, began = Reader(folder / "out"), time.monotonic()
        while process.poll() is None:
            time.sleep(given.every if not server.stopping.is_set() else 1.0)
            reader.read()
            seconds = time.monotonic() - began
            if process.poll() is None and not server.stopping.is_set():
                samples.append(sample(process.pid, seconds, reader.count["frame"]))
                if len(samples) % 12 == 0:
                    print(json.dumps(asdict(samples[-1])), flush=True)
            if seconds > given.seconds and not server.stopping.is_set():
                server.stopping.set()
                server.socket.close()
        reader.read(ended=True)
        text = (folder / "said").read_text()
    if not reader.summary:
        print(f"detect ended with {process.returncode} and no summary: {text[-2000:]}")
        return 1
    figures = judge(samples, server, reader) | {"exit code": process.returncode, "said": text.strip()[-400:]}
    print(json.dumps(figures, indent=1))
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    if given.figure:
        draw(samples, reader.latency, given.figure)
    return 0 if figures["holds"] else 1


def judge(samples: list[Sample], server: StreamServer, reader: Reader) -> dict[str, Any]:
    """The figures of a run, and whether it held."""
    found = account(server, reader)
    warm = samples[len(samples) // 10 :]
    tenth = max(len(warm) // 10, 1)
    first, last = (float(np.median([each.resident for each in part])) for part in (warm[:tenth], warm[-tenth:]))
    figures = {
        "seconds": samples[-1].seconds,
        "frames": found["sent"],
        "hours at 15 FPS": round(found["sent"] / RATE / 3600, 2),
        "FPS": round(found["read"] / samples[-1].seconds, 1),
        "MB after warm-up": round(first / 1e6, 2),
        "MB at the end": round(last / 1e6, 2),
        "growth": round(last / first - 1, 4),
        "MB at most": round(max(each.resident for each in warm) / 1e6, 2),
        "open files": [min(each.files for each in warm), max(each.files for each in warm)],
        "threads": [min(each.threads for each in warm), max(each.threads for each in warm)],
        "ms of latency": quarters(reader.latency),
        "ms of processor time a frame": round(1e3 * samples[-1].processor / max(found["read"], 1), 2),
        "account": found,
    }
    whole = found["judged"] + found["damaged"] == found["lines of frames"] and not found["wrong"]
    whole = whole and reader.count["between"] == found["dropped"]
    whole = whole and not any(row["not read"] for event, row in found["by event"].items() if event in CLEAN)
    return figures | {"holds": bool(whole and figures["growth"] < 0.05)}


if __name__ == "__main__":
    sys.exit(main())
