"""What stays whole when writing fails: faults put in by hand, one for each kind; the sweep has them all."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from own_set import write_set
from videos import scene, write_video

from oddroad import files
from oddroad.cli.main import main
from oddroad.errors import InputError, out_of_memory
from oddroad.io import earlier, results
from oddroad.io.earlier import FILES, Earlier, clear, frames_in, noted_files, set_aside
from oddroad.io.folder_lock import FolderLock
from oddroad.io.line_file import LineFile
from oddroad.io.reading import ReadReport
from oddroad.io.video_writer import partial_of

FULL = OSError(errno.ENOSPC, "No space left on device")


def failing(*given: Any, **more: Any) -> Any:
    """Stands for a call on a full disk."""
    raise FULL


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error, which is one line."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("oddroad: ")
    return text


class Raw:
    """A file of which writes are short, or fail after some bytes."""

    def __init__(self, opened: Any, room: int):
        self.opened, self.room = opened, room

    def write(self, data: memoryview) -> int:
        """At most seven bytes at a time."""
        if self.room <= 0:
            raise FULL
        count = self.opened.write(data[: min(7, self.room)])
        self.room -= count
        return count

    def close(self) -> None:
        """Close it."""
        self.opened.close()


class TestLineFile:
    def test_short_writes_are_gone_on_with(self, tmp_path: Path) -> None:
        lines = LineFile(tmp_path / "a", "first\n")
        lines.opened = Raw(lines.opened, 1000)  # type: ignore[assignment]
        lines.append("a line that is longer than seven bytes\n")
        lines.close()
        assert (tmp_path / "a").read_text() == "first\na line that is longer than seven bytes\n"

    def test_a_torn_line_is_taken_back_and_nothing_follows_it(self, tmp_path: Path) -> None:
        lines = LineFile(tmp_path / "a", "first\n")
        lines.opened = Raw(lines.opened, 10)  # type: ignore[assignment]
        for text in ("a line that is torn\n", "x\n"):
            with pytest.raises(OSError, match="No space"):
                lines.append(text)
            assert (tmp_path / "a").read_text() == "first\n"
        lines.close()

    def test_an_old_file_stays_until_the_first_line_of_the_new_one_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a"
        path.write_text("old\n")
        monkeypatch.setattr(Path, "write_text", failing)
        with pytest.raises(OSError, match="No space"):
            LineFile(path, "new\n")
        assert path.read_text() == "old\n"
        assert os.listdir(tmp_path) == ["a"]


class TestDetect:
    @pytest.fixture
    def words(self, tmp_path: Path) -> list[str]:
        """A run over two short videos."""
        (tmp_path / "in").mkdir()
        for name in ("a.mp4", "b.mp4"):
            write_video(tmp_path / "in" / name, [scene(at, (48, 64)) for at in range(4)], rate=10)
        return ["detect", str(tmp_path / "in"), "--threshold", "-5", "--out", str(tmp_path / "out"), "--quiet"]

    def test_a_start_that_cannot_write_leaves_what_was_there(
        self, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(words) == 0
        out = tmp_path / "out"
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != FILES}
        monkeypatch.setattr(results, "LineFile", failing)
        assert main([*words, "--every", "2"]) == 2
        assert "No space left on device" in one_line(capsys)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != FILES} == before

    def test_a_fault_later_is_one_line_and_the_rerun_is_as_undisturbed(
        self, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        plain, calls = LineFile.append, iter(range(100))

        def append(self: LineFile, line: str) -> None:
            if next(calls) == 2:
                self.opened = Raw(self.opened, 5)  # type: ignore[assignment]
            plain(self, line)

        with monkeypatch.context() as patched:
            patched.setattr(LineFile, "append", append)
            assert main(words) == 2
        assert "what was written before is kept" in one_line(capsys)
        path = tmp_path / "out" / "detections.jsonl"
        assert [json.loads(line)["type"] for line in path.read_text().splitlines()] == ["run", "frame", "frame"]
        assert not (tmp_path / "out" / ".oddroad.lock").exists()
        assert main([*words, "--resume"]) == 0
        found = [json.loads(line) for line in path.read_text().splitlines()]
        assert [(each.get("source"), each.get("index")) for each in found[1:-1]] == [
            (name, at) for name in ("a.mp4", "b.mp4") for at in range(4)
        ]
        assert frames_in(tmp_path / "out/overlay/a.mp4") == frames_in(tmp_path / "out/overlay/b.mp4") == 4

    def test_killed_after_the_first_frame_of_a_source_that_source_begins_anew(
        self, words: list[str], tmp_path: Path
    ) -> None:
        assert main(words) == 0
        out = tmp_path / "out"
        lines = (out / "detections.jsonl").read_text().splitlines(keepends=True)
        (out / "detections.jsonl").write_text("".join(lines[:6]))  # header, four of a.mp4, one of b.mp4
        (out / "overlay/b.mp4").write_bytes(b"")
        assert main([*words, "--resume"]) == 0
        again = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
        assert [each["index"] for each in again[1:-1]] == [0, 1, 2, 3] * 2
        assert again[-1]["frames"] == 8
        assert frames_in(out / "overlay/b.mp4") == 4

    @pytest.mark.parametrize("save", [(), ("--save", "maps")], ids=["overlay", "maps"])
    def test_stopped_between_the_last_frame_and_the_summary_the_run_is_ended(
        self, save: tuple[str, ...], words: list[str], tmp_path: Path
    ) -> None:
        assert main([*words, *save]) == 0
        path, partial = tmp_path / "out/detections.jsonl", partial_of(tmp_path / "out/overlay/b.mp4")
        *lines, last = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines) + last[:20])
        if not save:
            partial.write_bytes(b"half")
        assert main([*words, *save, "--resume"]) == 0
        again = path.read_text().splitlines(keepends=True)
        assert again[:-1] == lines
        told, wanted = json.loads(again[-1]), json.loads(last)
        assert (told["type"], told["frames"], told["with_regions"]) == ("summary", 8, wanted["with_regions"])
        assert not partial.exists()
        assert main([*words, *save, "--resume"]) == 0
        assert path.read_text().splitlines(keepends=True) == again  # a run that is finished stays as it is

    def test_what_a_killed_run_left_beside_an_overlay_goes_with_it(self, words: list[str], tmp_path: Path) -> None:
        assert main(words) == 0
        overlay = tmp_path / "out/overlay/b.mp4"
        for each in (partial_of(overlay), set_aside(overlay)):
            each.write_bytes(b"half")
        assert main([*words, "--save", "maps"]) == 0
        assert not overlay.parent.exists()

    def test_killed_while_frames_were_carried_over_none_is_lost(self, words: list[str], tmp_path: Path) -> None:
        assert main(words) == 0
        out = tmp_path / "out"
        lines = (out / "detections.jsonl").read_text().splitlines(keepends=True)
        (out / "detections.jsonl").write_text("".join(lines[:8]))
        overlay = out / "overlay/b.mp4"
        overlay.replace(set_aside(overlay))
        overlay.write_bytes(b"begun")
        assert main([*words, "--resume"]) == 0
        assert frames_in(overlay) == 4
        assert not set_aside(overlay).exists()
        assert len((out / "detections.jsonl").read_text().splitlines()) == 10

    def test_the_lines_can_be_followed_while_they_are_written(self, words: list[str], tmp_path: Path) -> None:
        path, seen, stop = tmp_path / "out" / "detections.jsonl", [], threading.Event()

        def follow() -> None:
            while not stop.is_set():
                if path.is_file():
                    seen.append(path.read_bytes())
                time.sleep(0.0005)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            assert main([*words, "--save"]) == 0
        finally:
            stop.set()
            thread.join()
        whole = path.read_bytes()
        assert len(set(seen)) > 2
        for each in seen:
            assert whole.startswith(each)
            assert each.endswith(b"\n")
            assert json.loads(each.splitlines()[0])["type"] == "run"

    def test_a_heartbeat_on_a_full_disk_does_not_print_a_traceback(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from oddroad.detection.pipeline import Run

        class Stub:
            settings = type("S", (), {"heartbeat": 0.001})
            summary = type("C", (), {"frames": 0, "damaged": 0})
            last_frame = 0.0
            results = type("R", (), {"started": True, "line": lambda self, values: raised(InputError("full"))})()

        thread = threading.Thread(target=Run.beat, args=(Stub(), threading.Event()))
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        assert capsys.readouterr().err == ""


def raised(error: Exception) -> None:
    """Raise it."""
    raise error


class TestList:
    def test_a_name_that_was_cut_off_is_left_out_and_does_not_swallow_the_next(self, tmp_path: Path) -> None:
        (tmp_path / FILES).write_text('a.png\n"b\\u00\nc.pn')
        assert noted_files(tmp_path) == ["a.png"]
        earlier.mend_list(tmp_path)
        earlier.note_file(tmp_path, tmp_path / "d.png")
        assert noted_files(tmp_path) == ["a.png", "c.pn", "d.png"]

    def test_a_list_that_cannot_be_written_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / FILES).write_text("a.png\nlines\n")
        monkeypatch.setattr(Path, "write_text", failing)
        with pytest.raises(OSError, match="No space"):
            clear(tmp_path, tmp_path / "lines")
        assert noted_files(tmp_path) == ["a.png", "lines"]

    def test_a_file_that_cannot_be_removed_stays_in_the_list(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / FILES).write_text("a.png\ngone.png\nlines\n")
        (tmp_path / "a.png").write_text("old")
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", failing)
            with pytest.raises(OSError, match="No space"):
                clear(tmp_path, tmp_path / "lines")
        assert noted_files(tmp_path) == ["a.png", "gone.png", "lines"]
        clear(tmp_path, tmp_path / "lines")
        assert noted_files(tmp_path) == ["lines"]
        assert not (tmp_path / "a.png").exists()

    def test_a_list_that_cannot_be_read_is_not_taken_for_an_empty_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / FILES).write_text("a.png\n")
        monkeypatch.setattr(Path, "read_text", failing)
        with pytest.raises(OSError, match="No space"):
            clear(tmp_path, tmp_path / "lines")

    def test_nothing_left_of_the_last_source_is_all_that_was_before_it(self, tmp_path: Path) -> None:
        frame = {"type": "frame", "time": 0.0, "regions": [], "status": "ok"}
        lines = [{"type": "run"}, *({**frame, "source": name, "index": 0} for name in ("a", "b"))]
        path = tmp_path / "lines"
        path.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
        found = Earlier.read(path)
        assert found is not None
        found.keep_last(0)
        found.cut()
        assert path.read_text().count("\n") == 2
        assert (found.done, found.last_source, found.counts["frames"]) == ({"a"}, "", 1)


class TestEvaluate:
    def test_old_figures_and_pictures_stay_where_the_new_ones_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_set(tmp_path / "set", 2)
        words = ["evaluate", str(tmp_path / "set/maps"), "--data", "folder", "--root", str(tmp_path / "set"), "--quiet"]
        words += ["--work", str(tmp_path / "work"), "--json", str(tmp_path / "out" / "r.json")]
        assert main(words) == 0
        before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
        assert any(path.suffix == ".png" for path in before)
        for path in (tmp_path / "set/maps").iterdir():
            np.save(path, -np.load(path))
        with monkeypatch.context() as patched:
            patched.setattr(files.os, "fsync", failing)
            assert main(words) == 2
        assert "cannot write the results" in one_line(capsys)
        kept = {path: path.read_bytes() for path in before}
        assert kept == before
        assert main(words) == 0
        after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
        assert after.keys() == before.keys()
        assert after != before

    def test_a_second_one_into_the_same_file_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_set(tmp_path / "set", 2)
        words = ["evaluate", str(tmp_path / "set/maps"), "--data", "folder", "--root", str(tmp_path / "set")]
        with FolderLock(tmp_path, ".r.json.lock"):
            assert main([*words, "--json", str(tmp_path / "r.json")]) == 2
        assert "belongs to a run that still works" in one_line(capsys)


def test_a_folder_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "c.onnx.frames"
    folder.mkdir()
    (folder / "a.npz").write_bytes(b"x")
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", failing)
        patched.setattr(os, "rmdir", failing)
        assert files.remove_folder(folder) == f"'{folder}' could not be removed; it is needed no more: remove it"
    assert files.remove_folder(folder) == ""
    assert not folder.exists()


def test_a_second_calibration_into_the_same_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FolderLock(tmp_path, ".c.onnx.lock"):
        assert main(["calibrate", "default", "--data", "camvid", "--out", str(tmp_path / "c.onnx")]) == 2
    assert "belongs to a run that still works" in one_line(capsys)


class TestReport:
    @pytest.fixture
    def words(self, tmp_path: Path) -> list[str]:
        """A report of one result."""
        write_set(tmp_path / "set", 2)
        words = ["evaluate", str(tmp_path / "set/maps"), "--data", "folder", "--root", str(tmp_path / "set"), "--quiet"]
        assert main([*words, "--json", str(tmp_path / "r.json"), "--work", str(tmp_path / "work")]) == 0
        return ["report", str(tmp_path / "r.json"), "--out", str(tmp_path / "report"), "--quiet"]

    def test_an_old_report_stays_whole_and_a_second_one_is_refused(
        self, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(words) == 0
        folder = tmp_path / "report"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        from oddroad.reporting import report

        with monkeypatch.context() as patched:
            patched.setattr(report, "page_of", failing)
            assert main(words) == 2
        assert "cannot write the report" in one_line(capsys)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        with FolderLock(folder):
            assert main(words) == 2
        assert "belongs to a run that still works" in one_line(capsys)


class TestMemory:
    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc"), OSError(errno.ENOMEM, "x")])
    def test_too_little_is_one_line(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from oddroad.cli import main as command

        monkeypatch.setitem(command.VERBS, "info", lambda: raised(error))
        assert main(["info"]) == 2
        assert "there is not enough memory" in one_line(capsys)

    def test_a_library_that_fails_without_a_word_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from oddroad.cli import main as command

        error = SystemError("<built-in function compile> returned NULL without setting an exception")
        monkeypatch.setitem(command.VERBS, "info", lambda: raised(error))
        assert main(["info"]) == 2
        told = one_line(capsys)
        assert "a library failed without saying why (<built-in function compile> returned NULL" in told
        assert "not enough memory" in told

    def test_what_it_led_to_counts_and_other_faults_do_not(self) -> None:
        error = KeyError("x")
        assert not out_of_memory(error)
        error.__context__ = MemoryError()
        assert out_of_memory(error)

    def test_memory_that_ends_is_no_damage_of_a_picture(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from oddroad.io import images

        data = png(np.zeros((4, 4, 3), np.uint8))
        for text, expected in (("(-4:Insufficient memory) Failed", cv2.error), ("(-215:Assertion failed)", InputError)):
            monkeypatch.setattr(images.cv2, "imdecode", lambda *_, text=text: raised(cv2.error(text)))
            with pytest.raises(expected):
                images.decode_image(data, "a.png")

    def test_memory_that_ends_is_no_damage_of_a_packet(self) -> None:
        from types import SimpleNamespace

        import av

        from oddroad.io.decoding import Decoder

        for error, lost in ((av.error.MemoryError(errno.ENOMEM, "x"), 0), (av.error.InvalidDataError(1, "x"), 1)):
            decoder = object.__new__(Decoder)
            decoder.watched, decoder.lost, decoder.broken = False, 0, []
            decoder.context = SimpleNamespace(decode=lambda packet, error=error: raised(error), thread_count=1)
            if lost:
                assert decoder.decode(None, 0) == []
            else:
                with pytest.raises(MemoryError):
                    decoder.decode(None, 0)
            assert decoder.lost == lost

    def test_a_video_or_log_that_memory_does_not_suffice_for_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import av

        from oddroad.io.log_types import unbroken
        from oddroad.io.video_file import open_container

        for error, words in (
            (av.error.MemoryError(errno.ENOMEM, "x"), "there is no memory to open"),
            (av.error.InvalidDataError(1, "x"), "is not a video that can be read"),
        ):
            monkeypatch.setattr(av, "open", lambda *_, error=error, **more: raised(error))
            with pytest.raises(InputError, match=words):
                open_container(str(tmp_path / "a.mp4"))

        def rows(error: Exception) -> Any:
            yield 1
            raise error

        for error, words in ((MemoryError(), "no memory for a record"), (ValueError(), "ends inside a record")):
            ended: list[str] = []
            assert list(unbroken(rows(error), ended)) == [1]
            assert words in ended[0]

    def test_memory_that_ends_is_no_damage_of_mined_parts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pyarrow
        import pyarrow.parquet

        from oddroad.mining.manifest import read_part
        from oddroad.mining.store import Store

        (tmp_path / "a.parquet").write_bytes(b"x")
        listed = {"file": "a.parquet", "rows": 1, "bytes": 1}
        for error, words in (
            (pyarrow.ArrowMemoryError("malloc of size 64 failed"), "there is no memory to read .*try again"),
            (pyarrow.ArrowInvalid("x"), "is damaged: the manifest says 1 row in 1 byte, found: 1 byte"),
        ):
            monkeypatch.setattr(pyarrow.parquet, "read_table", lambda *_, error=error, **more: raised(error))
            with pytest.raises(InputError, match=words):
                read_part(Store(str(tmp_path)), listed)


def png(image: np.ndarray) -> bytes:
    """A picture as PNG."""
    return cv2.imencode(".png", image)[1].tobytes()


class TestFiles:
    def test_a_file_of_findings_that_cannot_be_renamed_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from oddroad.mining import store

        monkeypatch.setattr(store.os, "replace", failing)
        with pytest.raises(OSError, match="No space"):
            store.Store(str(tmp_path)).replace("status.json", b"{}")
        assert os.listdir(tmp_path) == []

    def test_a_file_is_whole_or_not_there_whatever_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a"
        path.write_text("old")

        def cannot(self: Path, *given: Any, **more: Any) -> None:
            raise OSError(errno.EROFS, "x")

        for name in ("replace", "unlink"):
            with monkeypatch.context() as patched:
                patched.setattr(Path, name, cannot)
                if name == "unlink":
                    patched.setattr(files.os, "fsync", failing)
                with pytest.raises(InputError, match="cannot write the thing"):
                    files.write_whole(path, b"new", "thing")
            assert path.read_text() == "old"
        files.write_whole(path, b"new", "thing")
        assert path.read_text() == "new"
        assert os.listdir(tmp_path) == ["a"]

    def test_an_array_on_a_full_disk_is_an_error_of_the_system(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from oddroad.evaluation.cache import keep_map, load_map

        keep_map(tmp_path / "a.npy", np.ones((2, 3), np.float32))
        assert load_map(tmp_path / "a.npy", (2, 3)) is not None
        monkeypatch.setattr(Path, "write_bytes", failing)
        with pytest.raises(InputError, match=r"cannot keep a map.*No space"):
            keep_map(tmp_path / "b.npy", np.ones((2, 3), np.float32))


def test_pictures_that_could_not_be_decoded_are_counted_once() -> None:
    report = ReadReport()
    report.lost["cam"] = 3
    report.lose("cam", 0, 100)
    assert report.skipped == ["cam: 3 of 103 frames could not be decoded"]
    assert report.lost == {"cam": 3}
    report = ReadReport()
    report.lose("a.mp4", 2, 10)
    assert report.skipped == ["a.mp4: 2 of 10 frames could not be decoded"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_a_thread_that_dies_of_the_disk_or_of_memory_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from oddroad.cli import main as command

    def verb() -> None:
        thread = threading.Thread(target=raised, args=(error,))
        thread.start()
        thread.join()

    monkeypatch.setitem(command.VERBS, "info", verb)
    assert main(["info"]) == 2
    assert ("No space left" in text) != ("not enough memory" in text) if (text := one_line(capsys)) else False


class TestVideo:
    def test_what_the_library_does_not_say_is_counted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from oddroad.io import video_writer

        video = video_writer.VideoWriter(tmp_path / "a.mp4", 10)
        for number in range(3):
            video.write(scene(number, (48, 64)))
        monkeypatch.setattr(video_writer, "packets_in", lambda path: 2)
        with pytest.raises(InputError, match="2 of 3 frames reached the disk"):
            video.close()

    def test_after_a_failure_nothing_more_is_given_to_the_library(self, tmp_path: Path) -> None:
        from oddroad.io.video_writer import VideoWriter

        video = VideoWriter(tmp_path / "a.mp4", 10)
        for number in range(2):
            video.write(scene(number, (48, 64)))
        plain, video.stream = video.stream, type("Broken", (), {"encode": failing})
        with pytest.raises(InputError, match="No space left on device"):
            video.write(scene(2, (48, 64)))
        video.stream = plain
        video.close()
        assert video.container is None
