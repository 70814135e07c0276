"""The verb detect: where its results go."""

from __future__ import annotations

from pathlib import Path

from oddroad.cli.detect import place_for


def test_two_cameras_have_two_folders_although_their_hosts_have_dots() -> None:
    for host in ("10.0.0.5", "10.0.0.6"):
        place = place_for(f"rtsp://{host}/live", f"{host}_live", True, None, False)
        assert place.parent == Path("out") / f"{host}_live"
    assert place_for("a.b.mp4", "a.b.mp4", False, None, False) == Path("out/a.b")
