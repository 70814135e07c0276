"""Oddroad's own checkpoints that were changed: one line, and no memory for what they only claim."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzz.files import own_checkpoint_seeds

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import load_network, load_networks


@pytest.fixture(scope="module")
def good() -> bytes:
    """A checkpoint of a small network."""
    return own_checkpoint_seeds()[0]


def changed(good: bytes, path: Path, about: Any) -> Path:
    """The same with other metadata."""
    size = int.from_bytes(good[:8], "little")
    head = json.loads(good[8 : 8 + size])
    head["__metadata__"]["oddroad"] = about if isinstance(about, str) else json.dumps(about)
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + good[8 + size :])
    return path


ABOUT = {"network": "enet", "arguments": {"classes": 4}, "classes": ["a", "b", "c", "d"]}


def test_the_good_one(good: bytes, tmp_path: Path) -> None:
    assert load_network(changed(good, tmp_path / "a.ckpt", ABOUT))[1]["network"] == "enet"


@pytest.mark.parametrize(
    "about",
    [
        "{", "[" * 100_000, [], {**ABOUT, "network": 7}, {**ABOUT, "arguments": 7},
        {**ABOUT, "arguments": {"classes": []}},
        {**ABOUT, "arguments": {"classes": 10**9}}, {**ABOUT, "arguments": {"classes": 90_000}},
        {**ABOUT, "classes": 3},
        {**ABOUT, "temperature": 10**400}, {**ABOUT, "arguments": {"classes": -3}}, {"classes": ["a"]},
    ],
)  # fmt: skip
def test_wrong_metadata_is_one_line(about: Any, good: bytes, tmp_path: Path) -> None:
    path = changed(good, tmp_path / "a.ckpt", about)
    with pytest.raises(InputError, match=r"a\.ckpt'"):
        load_networks([path, path])
