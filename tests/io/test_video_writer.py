"""Overlay videos: H.264 at true times, indexed in front, playable after a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.errors import InputError
from oddroad.io.video_writer import VideoWriter


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    """Time and picture of each frame, by another reader than ours."""
    import av

    with av.open(f"file:{path}") as container:
        return [(float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def duration(path: Path) -> float:
    """Seconds that a video lasts."""
    import av

    with av.open(f"file:{path}") as container:
        stream: Any = container.streams.video[0]
        return float(stream.duration * stream.time_base)


COLOURS = [(200, 30, 40), (20, 180, 60), (30, 60, 200), (128, 128, 128), (250, 250, 250), (10, 10, 10)]


def write(path: Path, times: list[float | None], size: tuple[int, int] = (180, 320), rate: float = 10.0) -> None:
    """A video of plain colours."""
    video = VideoWriter(path, rate)
    for number, time in enumerate(times):
        video.write(np.full((*size, 3), COLOURS[number % 6], np.uint8), time)
    video.close()


def test_it_plays_in_a_browser_with_true_times_and_colours(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a#b é%d.mp4"
    write(path, [5, 5.1, 5.2, 6.0, 6.1, 9.0])
    with av.open(f"file:{path}") as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert [time for time, _ in frames_of(path)] == pytest.approx([0, 0.1, 0.2, 1.0, 1.1, 4.0], abs=1e-4)
    for (_, image), colour in zip(frames_of(path), COLOURS, strict=True):
        assert np.abs(image.astype(int) - colour).max() <= 3
    assert duration(path) == pytest.approx(6.9, abs=0.001)  # the last is shown as long as the one before it
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_without_times_the_rate_counts(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [None] * 5, rate=4.0)
    assert [time for time, _ in frames_of(tmp_path / "a.mp4")] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0], abs=1e-4)
    assert duration(tmp_path / "a.mp4") == pytest.approx(1.25, abs=0.001)
    write(tmp_path / "one.mp4", [7.0], rate=4.0)
    assert duration(tmp_path / "one.mp4") == pytest.approx(0.25, abs=0.001)


def test_times_that_stand_still_or_go_back_lose_no_frame(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [1.0, 1.0, 0.5, 2.0])
    assert len(frames_of(tmp_path / "a.mp4")) == 4


def test_odd_sizes_lose_a_pixel_and_others_are_resized(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "a.mp4", 10)
    for size in ((181, 321), (181, 321), (90, 160)):
        video.write(np.full((*size, 3), 100, np.uint8))
    video.close()
    assert [image.shape for _, image in frames_of(tmp_path / "a.mp4")] == [(180, 320, 3)] * 3


def test_a_killed_process_leaves_a_video_that_plays(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; import numpy as np; from pathlib import Path\n"
        "from oddroad.io.video_writer import VideoWriter\n"
        "video = VideoWriter(Path(sys.argv[1]), 10)\n"
        "for number in range(30): video.write(np.full((64, 96, 3), 8 * number, np.uint8))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.mp4")])
    assert done.returncode == -9
    assert len(frames_of(tmp_path / "a.mp4")) >= 25


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the video"):
        VideoWriter(tmp_path / "file" / "a.mp4", 10).write(np.zeros((64, 64, 3), np.uint8))


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "a.mp4", 10).close()
    assert list(tmp_path.iterdir()) == []
