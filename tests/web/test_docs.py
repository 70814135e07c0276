"""The clients of the documentation work as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from web.test_inference_protocol import running

from oddroad.io.images import write_image
from oddroad.types import Frame
from oddroad.web.desk import Desk

pytest.importorskip("starlette", reason="of the extra 'web'")

PAGE = Path(__file__).parents[2] / "docs" / "web.md"
EXAMPLES = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore")  # of Triton's client
@pytest.mark.parametrize("example", EXAMPLES, ids=["urllib", "triton"])
def test_a_client_of_the_page(
    example: str, desk: Desk, frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "tritonclient" in example:
        pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "photo.jpg", frames[0].image)
    names: dict = {}
    with running(desk) as address:
        assert "localhost:8321" in example
        exec(compile(example.replace("localhost:8321", address), str(PAGE), "exec"), names)
    if "tritonclient" in example:
        assert names["heat"].shape == (1, 540, 960)
    else:
        assert names["detect"]


def test_both_are_there() -> None:
    assert len(EXAMPLES) == 2
