"""What an earlier run left in a folder: files that a new run replaces, and lines that a run may go on with."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.files import load_json
from oddroad.io.video_writer import VideoWriter, packets_in, partial_of
from oddroad.json_values import shown

FILES = ".oddroad-files"
"""List of the files that a run has written to a folder, relative to it, a line each, as JSON where a name has other
than printable letters: its successor removes these and no other."""


def note_file(out: Path, path: Path) -> None:
    """Add a file to the list of a folder."""
    with (out / FILES).open("a", encoding="utf-8") as opened:
        opened.write(listed(out, path))


def listed(out: Path, path: Path) -> str:
    """The line of a file in the list of a folder."""
    name = path.relative_to(out).as_posix()
    return (name if name.isprintable() and name[0] != '"' else json.dumps(name)) + "\n"


def noted_files(out: Path) -> list[str]:
    """The names in the list of a folder; a last one that was cut off when the run was killed is left out.

    Raises:
        OSError: if there is a list that cannot be read.
    """
    try:
        lines = (out / FILES).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    names: list[str] = []
    for line in lines:
        with contextlib.suppress(ValueError):
            name = str(load_json(line) if line.startswith('"') else line.rstrip("\n"))
            if line.endswith("\n") and name and ".." not in Path(name).parts and not Path(name).is_absolute():
                names.append(name)
    return names


def clear(out: Path, keep: Path) -> None:
    """Remove the files that an earlier run has written to a folder, and the folders that are empty then.

    The list goes last, so that a run that is killed in between leaves nothing that its successor does not find.

    Args:
        out: the folder.
        keep: a file in it, that of the lines of the new run; it is all that the list names then.

    Raises:
        OSError: if a file cannot be removed, which would stand beside new results; the list stays as it was.
    """
    folders: set[Path] = set()
    for name in noted_files(out):
        path = out / name
        for each in (path, *beside(path)):
            if each != keep and not each.is_dir():
                try:
                    each.unlink(missing_ok=True)
                except OSError:
                    if os.path.lexists(each):
                        raise
        folders.update(each for each in path.parents if out in each.parents and each not in keep.parents)
    for each in sorted(folders, key=lambda folder: -len(folder.parts)):
        with contextlib.suppress(OSError):
            each.rmdir()
    partial = out / f"{FILES}.partial"
    partial.write_text(listed(out, keep), encoding="utf-8")
    partial.replace(out / FILES)


def beside(path: Path) -> tuple[Path, ...]:
    """Files that a run which was killed, or whose disk failed, can leave beside one of its files: of an overlay."""
    return (partial_of(path), set_aside(path)) if path.suffix == ".mp4" else ()


def drop_partial(out: Path) -> None:
    """Remove copies of overlays that an earlier run could not finish.

    Raises:
        OSError: if one cannot be removed.
    """
    for name in noted_files(out):
        for each in beside(out / name)[:1]:
            each.unlink(missing_ok=True)


def mend_list(out: Path) -> None:
    """End the list of a folder with a whole line, so that the next name begins one."""
    path = out / FILES
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        if opened.read(1) != b"\n":
            opened.write(b"\n")


COUNTED = ("frames", "with_regions", "without_roi", "damaged", "drift_alarms")
"""What a run counts."""


@dataclass
class Earlier:
    """An unfinished run.

    Attributes:
        path: of its lines.
        header: its first line.
        done: names of the sources that have a frame.
        last_source: the source that it was at; "" before the first frame.
        last_index: number of the last frame of that source; None for a still image.
        first_time: seconds of the first frame of that source; None for a still image.
        frames_of_last: number of frames of that source.
        counts: frames, with_regions, without_roi, damaged and drift alarms so far.
        alarms_to_come: drift alarms that belong to the next frame.
        most_tracks: highest number of a track so far.
        finished: whether it came to its end.
        length: bytes of its lines up to the last frame.
        ends: bytes of its lines up to each frame of the last source, and what was counted until then.
        before: length, number of sources and counts before the last source.
    """

    path: Path
    header: dict[str, Any]
    done: set[str] = field(default_factory=set)
    last_source: str = ""
    last_index: int | None = None
    first_time: float | None = None
    frames_of_last: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    alarms_to_come: int = 0
    most_tracks: int = 0
    finished: bool = False
    length: int = 0
    ends: list[tuple[int, int | None, dict[str, int]]] = field(default_factory=list)
    before: tuple[int, dict[str, int]] = (0, {})

    @classmethod
    def read(cls, path: Path) -> Earlier | None:
        """The run whose lines these are; None where there is no complete first line.

        Raises:
            InputError: if a line is none of ours.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        found: Earlier | None = None
        place = 0
        for number, line in enumerate(data.split(b"\n")[:-1], 1):  # what follows the last line's end was cut off
            place += len(line) + 1
            try:
                values = load_json(line)
                kind = values["type"]
                if found is None:
                    if kind != "run":
                        raise InputError(f"'{path}' does not begin with a line of a run; run without --resume")
                    if not isinstance(values.get("settings", {}), dict):
                        raise ValueError("settings")
                    found = cls(path, values, length=place)
                elif kind == "frame":
                    found.add(frame_line(values), place)
                elif kind == "drift":
                    found.alarms_to_come += 1
            except InputError:
                raise
            except (ValueError, TypeError, KeyError, AttributeError):
                raise InputError(
                    f"line {number} of '{path}' is none that oddroad writes; run without --resume"
                ) from None
            found.finished = kind == "summary"
        return found

    def add(self, values: Mapping[str, Any], place: int) -> None:
        """Count a frame whose line ends at a place of the file."""
        if values["source"] != self.last_source:
            self.before = self.length, dict(self.counts)
            self.last_source, self.first_time, self.ends = values["source"], values["time"], []
            self.done.add(self.last_source)
        self.last_index, self.length = values["index"], place
        self.counts["frames"] += values["regions"] is not None
        self.counts["with_regions"] += bool(values["regions"])
        self.counts["without_roi"] += values.get("roi_share") == 0
        self.counts["damaged"] += values["status"] != "ok"
        self.counts["drift_alarms"] += self.alarms_to_come
        self.alarms_to_come = 0
        for each in values["regions"] or []:
            self.most_tracks = max(self.most_tracks, (each.get("track") or {}).get("id", 0))
        self.ends.append((place, self.last_index, dict(self.counts)))
        self.frames_of_last = len(self.ends)

    def check(self, header: Mapping[str, Any]) -> None:
        """Refuse to go on with other settings.

        Raises:
            InputError: naming the first setting that differs.
        """
        for key in ("model_sha256", "engine", "score", "threshold", "sources"):
            if self.header.get(key) != header[key]:
                raise InputError(
                    f"'{self.path}' was begun with another {key.replace('_', ' ')} ({shown(self.header.get(key))}, now "
                    f"{shown(header[key])}); give the same, or run without --resume"
                )
        before, now = self.header.get("settings", {}), header["settings"]
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"'{self.path}' was begun with --{key.replace('_', '-')} {shown(before.get(key))}, now it is "
                    f"{shown(now.get(key))}; give the same, or run without --resume"
                )

    def keep_last(self, count: int) -> None:
        """Keep only the first frames of the last source: as many as its overlay holds. Without any it begins anew."""
        if count >= self.frames_of_last:
            return
        if count == 0:
            self.done.discard(self.last_source)
            self.length, self.counts = self.before
            self.last_source, self.last_index, self.first_time = "", None, None
            self.ends, self.frames_of_last = [], 0
            return
        self.ends = self.ends[:count]
        self.length, self.last_index, self.counts = self.ends[-1]
        self.frames_of_last = count

    def cut(self) -> None:
        """Cut the file of lines off behind the last frame."""
        os.truncate(self.path, self.length)


def set_aside(path: Path) -> Path:
    """Where an overlay waits while its frames are carried over into a new one."""
    return path.with_name(f".{path.name}.before")


def frame_line(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A line of type "frame", as far as a run goes on from it.

    Raises:
        ValueError: if a value is another than this package writes.
        KeyError: if one is missing.
    """
    index, time, listed = values["index"], values["time"], values["regions"]
    tracks = [each.get("track") or {} for each in listed or []]
    good = (
        isinstance(values["source"], str)
        and (index is None or (isinstance(index, int) and index >= 0))
        and (time is None or (isinstance(time, (int, float)) and abs(time) < 1e12))
        and isinstance(listed, (list, type(None)))
        and all(isinstance(each.get("id", 0), int) for each in tracks)
    )
    if not good:
        raise ValueError("a line of a frame")
    return values


def frames_in(path: Path) -> int:
    """Number of frames that a video really holds; 0 where it cannot be read.

    A video that was set aside when a run was killed is put back first: it holds all that was there.

    Raises:
        OSError: if it cannot be put back.
    """
    if set_aside(path).is_file():
        set_aside(path).replace(path)
    return packets_in(path)


def carry_over(path: Path, video: VideoWriter, earlier: Earlier) -> VideoWriter:
    """An open overlay that begins with the frames which the earlier run has written to it.

    Args:
        path: of the overlay.
        video: not yet begun; it writes to the same path.
        earlier: says how many frames are kept, and at which time they begin.
    """
    import av

    before = set_aside(path)
    if not path.exists():
        return video
    path.replace(before)
    try:
        with av.open(f"file:{before}") as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= earlier.frames_of_last:
                    break
                video.write(frame.to_ndarray(format="rgb24"), float(frame.time or 0.0) + (earlier.first_time or 0.0))
    except BaseException:
        before.replace(path)
        raise
    before.unlink()
    return video


def is_output(path: Path, out: Path, products: Sequence[str]) -> bool:
    """Whether a file lies where a run into a folder puts its products."""
    try:
        parts = path.resolve().relative_to(out.resolve()).parts
    except ValueError:
        return False
    return bool(parts) and (parts[0] in products or (parts[0].isdigit() and len(parts) > 1 and parts[1] in products))
