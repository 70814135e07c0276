"""One trial: a verb in a process of its own, forked from one that has loaded everything; a fault, or a kill, in it."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import re
import select
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reliability.shim import CHANGING, SHORT, Shim

LIBRARIES = ("libpng ", "x264 [error]: malloc ")
"""How lines begin that libraries print themselves where there is no memory."""

FRAME = re.compile(r"/\S+\(.*\)\s*\[0x[0-9a-f]+\]$")
"""A line of what the shim says when a process dies: library, place, address."""

DEADLINE = 600.0
"""Seconds after which a run counts as hanging; the machine may be busy."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        name: in words.
        kinds: calls that count; none for memory.
        error: of the system, or SHORT.
        number: of the call that fails, from 1.
        stays: whether all later ones fail as well.
        least: of memory, bytes of a request that counts.
    """

    name: str
    kinds: tuple[str, ...] = ()
    error: int = 0
    number: int = 1
    stays: bool = False
    least: int = 0


ERRORS = {
    "open": ("ENOSPC", "EIO", "EROFS", "EMFILE", "EINTR"),
    "write": ("ENOSPC", "EIO", "EROFS", "EINTR"),
    "read": ("EIO", "EINTR"),
    "fsync": ("ENOSPC", "EIO", "EROFS", "EINTR"),
    "rename": ("ENOSPC", "EIO", "EROFS"),
    "mkdir": ("ENOSPC", "EIO", "EROFS"),
    "close": ("ENOSPC", "EIO", "EINTR"),
    "remove": ("EIO", "EROFS"),
    "truncate": ("EIO", "EROFS"),
    "flock": ("EIO", "EINTR", "ENOLCK"),
}
"""What each kind of call may meet."""

TABLE: tuple[tuple[str, tuple[str, ...], int, bool], ...] = (
    *((f"{kind} {name}", (kind,), getattr(errno, name), False) for kind, names in ERRORS.items() for name in names),
    ("write short", ("write",), SHORT, False),
    ("read short", ("read",), SHORT, False),
    ("disk full from there on", ("write", "mkdir", "fsync"), errno.ENOSPC, True),
    ("read-only from there on", CHANGING, errno.EROFS, True),
    ("disk gone from there on", ("read", *CHANGING), errno.EIO, True),
    ("no more open files", ("open",), errno.EMFILE, True),
)  # fmt: skip
"""Name, kinds, error, whether it stays: each at every n-th call."""


@dataclass
class Ran:
    """How a run ended.

    Attributes:
        code: its exit code; minus the number of a signal.
        said: its standard error.
        fired: calls that were made to fail.
        counts: calls of each kind, where it came to its end.
        memory: requests of memory that count.
        seconds: how long it took.
        hung: whether it had to be ended.
    """

    code: int
    said: str
    fired: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    memory: int = 0
    seconds: float = 0.0
    hung: bool = False


def in_child(work: Callable[[], int], log: Path, fault: Fault | None, below: Path, kill_after: float | None) -> Ran:
    """Do something in a forked process, with a fault on calls below a folder or a SIGKILL after some seconds."""
    ours, theirs = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.close(ours)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(output, 2)
            shim = Shim()
            shim.tell_deaths()
            if fault is not None and fault.least:
                shim.arm(below, (), 0, 0, False)
                shim.arm_memory(fault.least, fault.number, fault.stays)
            elif fault is not None:
                shim.arm(below, fault.kinds, fault.error, fault.number, fault.stays)
            try:
                code = work()
            except BaseException:
                traceback.print_exc()
            finally:
                about = {"counts": shim.counts(), "fired": shim.fired(), "memory": shim.memory_seen()}
                shim.disarm()
                os.write(theirs, json.dumps(about).encode())
        finally:
            os._exit(code)
    os.close(theirs)
    watched = os.pidfd_open(child)
    limit = DEADLINE if kill_after is None else min(kill_after, DEADLINE)
    ended, _, _ = select.select([watched], [], [], max(limit - (time.monotonic() - began), 0))
    hung = not ended and limit == DEADLINE
    if not ended:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(watched)
    told = os.read(ours, 65536)
    os.close(ours)
    code = os.waitstatus_to_exitcode(status)
    return Ran(
        code, log.read_text(errors="replace") if log.exists() else "", seconds=time.monotonic() - began, hung=hung,
        **(json.loads(told) if told else {}),
    )  # fmt: skip


@dataclass(frozen=True)
class Verb:
    """A verb on tiny inputs, and how its results are compared.

    Attributes:
        name: of the verb, and what is special about it.
        words: the words after 'oddroad', given the folder that it writes to.
        before: the words of the run whose results are there already; none for an empty folder.
        rerun: words of the run after the fault, where they are others.
        below: the folder in which calls fail, where it is not the one that is written to.
        keeps: of the results of before, patterns of names that must be whole where the run failed; all where None.
        prefix: whether the lines of before must stay the beginning of the lines (a run that goes on).
        touch: changes the results of before.
    """

    name: str
    words: Callable[[Path], list[str]]
    before: Callable[[Path], list[str]] | None = None
    rerun: Callable[[Path], list[str]] | None = None
    below: Path | None = None
    keeps: tuple[str, ...] | None = None
    prefix: bool = False
    touch: Callable[[Path], None] | None = None


Contents = dict[str, Any]
"""Path below a folder -> its content without what changes from run to run; a folder is None."""

VOLATILE = {
    "milliseconds", "started", "seconds", "fps", "took", "part_bytes", "seconds_in_network", "seconds_of_last_part",
    "frames_computed",
    "utc", "modified", "date", "since", "updated", "process", "host", "hours_a_minute", "file", "finished",
}  # fmt: skip


def plain(value: Any) -> Any:
    """JSON values without what changes from run to run."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [plain(each) for each in value if not (isinstance(each, str) and "interrupted run" in each)]
    return value


def content(path: Path) -> Any:
    """What a file holds, to be compared."""
    data = path.read_bytes()
    if path.suffix == ".json":
        try:
            return plain(json.loads(data))
        except ValueError:
            return data
    if path.suffix == ".jsonl":
        return [whole_line(each) for each in data.split(b"\n")]
    if path.suffix == ".ckpt" and data[:2] != b"PK":
        from oddroad.learn.checkpoints.format import read_checkpoint

        try:
            tensors, about = read_checkpoint(path)
        except Exception:
            return data
        return json.dumps(plain(about), sort_keys=True), {
            name: each.numpy().tobytes() for name, each in tensors.items()
        }
    if path.suffix == ".ckpt":
        return "state"  # holds times; that the runs go on from it to the same weights is what shows that it is right
    if path.name.startswith("events.out.tfevents"):
        return "events"
    if path.suffix == ".parquet":
        import pyarrow.parquet

        try:
            return plain(pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist())
        except (OSError, ValueError):
            return data
    if path.suffix in (".rrd", ".mcap"):
        return "recording" if len(data) > 1000 else data  # they hold random names
    return data


def whole_line(line: bytes) -> Any:
    """A line of JSON; its bytes where it is none."""
    try:
        return plain(json.loads(line))
    except ValueError:
        return line


def contents(folder: Path) -> Contents:
    """Everything below a folder; the lists of files and logs of events by what they are for."""
    found: Contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "tfevents" in name:
            name = "events"
        if path.name == "status.json":  # times, what was there before
            found[path.parent.name] = None
            continue
        if path.parent.name == "segments" and path.is_file():  # after an interruption the same rows lie in more parts
            found["segments"] = rows_of(found.get("segments", []), content(path))
            continue
        if path.name == ".oddroad-files":
            found[name] = sorted(set(path.read_text().splitlines()))
        elif path.name == "manifest.json":
            found[name] = without_parts(content(path))
        else:
            found[name] = content(path) if path.is_file() else None
    return found


def rows_of(before: Any, part: Any) -> Any:
    """The rows of several parts in the order of their segments; the bytes of a part that cannot be read."""
    if isinstance(part, bytes) or isinstance(before, bytes):
        return part if isinstance(part, bytes) else before
    return sorted([*(before or []), *part], key=lambda row: row["segment"])


def without_parts(manifest: Any) -> Any:
    """A manifest with the sum of its parts' rows in the place of the parts, whose names and number depend on when
    they were written."""
    if not isinstance(manifest, dict):
        return manifest
    return {**manifest, "segments": sum(each["rows"] for each in manifest["segments"])}


class Bench:
    """Runs trials of a verb and judges them.

    Args:
        verb: the verb.
        folder: for its results; emptied for each trial.
        run: main of the command line.
    """

    def __init__(self, verb: Verb, folder: Path, run: Callable[[Sequence[str]], int]):
        self.verb, self.run = verb, run
        self.out, self.old, self.log = folder / "out", folder / "old", folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        self.old.mkdir(exist_ok=True)
        self.below = verb.below or self.out
        if verb.before is not None:
            self.must(verb.before(self.start()), "before")
            shutil.rmtree(self.old)
            shutil.copytree(self.out, self.old)
        if verb.touch is not None:
            verb.touch(self.old)
        self.before = contents(self.old)
        self.start()
        self.prepare(verb.words(self.out))
        self.undisturbed = self.must(verb.words(self.out), "undisturbed")
        self.after = contents(self.out)

    def prepare(self, words: list[str]) -> None:
        """Parse words here, so that the children need not."""
        from oddroad.cli import main as command

        command.parse(words[0], words[1:])

    def must(self, words: list[str], which: str) -> Ran:
        """A run that has to be right."""
        ran = self.go(words, Fault("none", ("flock",), 0, 0))
        if ran.code:
            raise SystemExit(f"{self.verb.name}: the {which} run ended with {ran.code}: {ran.said}")
        return ran

    def start(self) -> Path:
        """Put the results of before into the folder; the folder."""
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(self.old, self.out)
        return self.out

    def go(self, words: list[str], fault: Fault | None = None, kill_after: float | None = None) -> Ran:
        """Run the command in a child."""
        return in_child(lambda: self.run(words), self.log, fault, self.below, kill_after)

    def trial(self, fault: Fault) -> tuple[Ran, list[str]]:
        """A run with a fault; what is wrong with it, in words."""
        self.start()
        ran = self.go(self.verb.words(self.out), fault)
        wrong = self.judge(ran, fault)
        return ran, wrong + (self.again(ran) if ran.code or wrong else [])  # after exit 0 it is as after a rerun

    def kill(self, after: float) -> tuple[Ran, list[str]]:
        """A run that is killed after some seconds; what is wrong with what it leaves."""
        self.start()
        ran = self.go(self.verb.words(self.out), kill_after=after)
        return ran, self.results_of(ran) + self.again(ran)

    def judge(self, ran: Ran, fault: Fault) -> list[str]:
        """What is wrong with a run that met a fault.

        Where memory ends for good a library may end the process: none of ours is machine code. What lies on the disk
        has to be whole all the same.
        """
        wrong: list[str] = []
        lines = [line for line in ran.said.splitlines() if not line.startswith(LIBRARIES)]
        if ran.hung:
            return [f"hangs: {ran.said[-200:]}"]
        if fault.least and fault.stays and died_in(ran):
            return self.results_of(ran)
        if ran.code < 0:
            return [f"died of signal {-ran.code}", *self.results_of(ran)]
        if "Traceback" in ran.said or "fault in oddroad" in ran.said:
            wrong.append(f"traceback: {lines[-2] if len(lines) > 1 else ran.said}")
        elif ran.code and (len(lines) != 1 or not lines[0].startswith("oddroad: ")):
            wrong.append(f"{len(lines)} lines: {ran.said[:600]}")
        elif ran.code and len(lines[0]) < 25:
            wrong.append(f"says too little: {lines[0]}")
        if ran.code not in (0, 2, 3):
            wrong.append(f"exit code {ran.code}: {ran.said[:200]}")
        return wrong + self.results_of(ran)

    def results_of(self, ran: Ran) -> list[str]:
        """What is wrong with the results as a run has left them."""
        left = contents(self.out)
        if ran.code == 0:
            told = {name: each for name, each in left.items() if not self.told(name, ran)}
            return differences(*self.compared(told), "after exit 0")
        if self.verb.prefix:
            kept = {name: prefix_of(lines) for name, lines in self.before.items() if name.endswith(".jsonl")}
            lost = [name for name, lines in kept.items() if prefix_of(left.get(name, []))[: len(lines)] != lines]
            return [f"lost lines of {name}" for name in lost]
        changed = [
            name for name, was in self.before.items()
            if was is not None and left.get(name) != was and left.get(name) != self.after.get(name, was)
            and (self.verb.keeps is None or any(re.fullmatch(each, name) for each in self.verb.keeps))
        ]  # fmt: skip
        if changed:
            return [f"old results gone or damaged: {', '.join(changed[:4])}"]
        lines = [each for name, each in left.items() if name.endswith(".jsonl")]
        broken = [each for lines_of in lines for each in lines_of[:-1] if isinstance(each, bytes)]
        return ["a line in the middle is broken"] if broken else []

    def told(self, name: str, ran: Ran) -> bool:
        """Whether a run has said of a file, or of a folder that it lies in, that it could not be removed."""
        paths = (self.out / name, *(self.out / name).parents)
        return any(f"'{each}' could not be removed" in ran.said for each in paths)

    def again(self, ran: Ran) -> list[str]:
        """What is wrong after the same command again, undisturbed."""
        words = (self.verb.rerun or self.verb.words)(self.out)
        second = self.go(words)
        if second.code:
            return [f"the rerun ends with {second.code}: {second.said[-300:]}"]
        return differences(*self.compared(contents(self.out)), "after the rerun")

    def compared(self, found: Contents) -> tuple[Contents, Contents]:
        """What is there and what should be, as far as they have to be the same."""
        return (resumed(found), resumed(self.after)) if self.verb.prefix else (found, self.after)


def died_in(ran: Ran) -> str:
    """The library in which a process died by a signal, as it has said itself: the innermost one that is not the C
    library; "" where it did not die so."""
    frames = [line.partition("(")[0].rpartition("/")[2] for line in ran.said.splitlines() if FRAME.match(line)]
    return next((each for each in frames if each != "shim.so" and not each.startswith("libc.")), "") * (ran.code < 0)


def resumed(found: Contents) -> Contents:
    """What a run that goes on has in common with one that was not interrupted: all but the numbers of its tracks, which
    begin anew, and the pixels of its overlay, of which the beginning is encoded a second time."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key != "track"}
        return [without(each) for each in value] if isinstance(value, list) else value

    return {
        name: [time for time, _ in frames_of(value)] if name.endswith(".mp4") else without(value)
        for name, value in found.items()
    }


def prefix_of(lines: list[Any]) -> list[Any]:
    """The lines of frames, which a run that goes on keeps."""
    return [each for each in lines if isinstance(each, dict) and each.get("type") == "frame"]


def same(one: Any, two: Any, name: str) -> bool:
    """Whether two contents are the same; videos by their decoded frames and times, a plain one and a fragmented one."""
    if one == two or not name.endswith(".mp4") or not isinstance(one, bytes) or not isinstance(two, bytes):
        return one == two
    return frames_of(one) == frames_of(two)


def frames_of(data: bytes) -> list[Any]:
    """Time and pixels of each frame of a video; nothing where it cannot be read."""
    import av

    try:
        with av.open(io.BytesIO(data)) as opened:
            opened.streams.video[0].thread_type = "NONE"
            return [(frame.time, bytes(frame.planes[0])) for frame in opened.decode(video=0)]
    except (OSError, IndexError, ValueError):
        return []


def differences(found: Contents, wanted: Contents, when: str) -> list[str]:
    """In words, what two folders do not have in common."""
    less = sorted(wanted.keys() - found.keys())
    more = sorted(name for name in found.keys() - wanted.keys() if not name.endswith(".lock"))  # free without its run
    other = sorted(name for name in wanted.keys() & found.keys() if not same(wanted[name], found[name], name))
    told = [
        f"{what} {', '.join(names[:4])}"
        for what, names in (("lacks", less), ("left over", more), ("differs", other))
        if names
    ]
    return [f"{when}: {'; '.join(told)}"] if told else []


def faults_for(counts: dict[str, int], most: int, draw: random.Random) -> list[Fault]:
    """Each row of the table at every call that an undisturbed run makes; ``most`` numbers of a row at most, spread."""
    found: list[Fault] = []
    for name, kinds, error, stays in TABLE:
        total = sum(counts[each] for each in kinds)
        numbers = list(range(1, total + 1))
        if total > most:
            edge = most // 3
            middle = draw.sample(numbers[edge : total - edge], most - 2 * edge)
            numbers = [*numbers[:edge], *sorted(middle), *numbers[total - edge :]]
        found += [Fault(name, kinds, error, number, stays) for number in numbers]
    return found
