"""The researcher's path of docs/extending.md, word for word: a score in a file of one's own, evaluated and exported."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.evaluation.cache import key_of
from oddroad.evaluation.evaluate import made_by
from oddroad.evaluation.workers import Settings
from oddroad.files import sha256_of
from oddroad.inference.model import Model
from oddroad.learn.checkpoints.format import save_checkpoint
from oddroad.learn.networks.ddrnet import DDRNet
from oddroad.learn.plugin import load_plugin, open_with_plugin
from oddroad.learn.scores import FITTED, SCORES
from oddroad.types import CITYSCAPES_CLASSES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
ARGUMENTS = {"classes": 19, "planes": 8, "pooled": 8, "head": 8}


@pytest.fixture
def table() -> object:
    before = dict(SCORES)
    yield SCORES
    SCORES.clear()
    SCORES.update(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three frames and labels in the layout of the archive's RoadAnomaly."""
    draw, root = np.random.default_rng(0), tmp_path / "data"
    for folder in ("images", "labels_masks"):
        (root / "RoadAnomaly" / folder).mkdir(parents=True)
    for i in range(3):
        label = np.zeros((64, 96), np.uint8)
        label[20:40, 30:50] = 2
        cv2.imwrite(str(root / "RoadAnomaly/images" / f"{i}.jpg"), draw.integers(0, 256, (64, 96, 3)))
        cv2.imwrite(str(root / "RoadAnomaly/labels_masks" / f"{i}.png"), label)
    return root


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    about = {"network": "ddrnet23_slim", "arguments": ARGUMENTS, "normalisation": "imagenet"}
    path = tmp_path / "net.ckpt"
    save_checkpoint(path, DDRNet(**ARGUMENTS).eval(), {**about, "classes": list(CITYSCAPES_CLASSES)})
    return path


@pytest.mark.usefixtures("table")
def test_the_example_of_the_page(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    match = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert match is not None
    code = match[1]
    assert len(code.splitlines()) <= 20
    plugin, work = tmp_path / "my_score.py", str(tmp_path / "work")
    plugin.write_text(code)
    words = ["--scores", "margin", "msp", "--plugin", str(plugin)]
    given = ["--data", "road_anomaly", "--root", str(data), "--work", work]
    assert main(["evaluate", str(checkpoint), *words, *given]) == 0
    printed = capsys.readouterr().out
    assert "margin" in printed
    assert "msp" in printed
    out = tmp_path / "mine.onnx"
    assert main(["export", str(checkpoint), "--size", "64x128", "--out", str(out), *words]) == 0
    assert Model(out).scores == ("margin", "msp")
    assert main(["evaluate", str(out), *words, *given]) == 2
    assert "has its scores inside; a plugin needs the checkpoint" in capsys.readouterr().err


@pytest.mark.usefixtures("table")
def test_the_code_of_a_plugin_and_flip_tta_are_part_of_what_made_the_maps(checkpoint: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    found = []
    for factor in (1, 2):
        head = "from oddroad.learn.scores import SCORES"
        plugin.write_text(f"{head}\nSCORES['mine'] = lambda outputs: {factor} * outputs.logits[:, 0]\n")
        for flip_tta in (False, True):
            predictor = open_with_plugin(str(plugin), str(checkpoint), ("mine",), flip_tta=flip_tta)
            found.append(key_of(made_by(Settings("m"), predictor)))
            assert predictor.about["plugin"] == sha256_of(plugin)
    assert len(set(found)) == 4


def test_what_is_wrong_with_a_plugin_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no plugin '.*none.py'; expected a Python file"):
        load_plugin(tmp_path / "none.py")
    bad = tmp_path / "bad.py"
    bad.write_text("x = 1\ny = x / 0\n")
    with pytest.raises(InputError, match=r"plugin '.*bad.py' line 2: ZeroDivisionError: division by zero"):
        load_plugin(bad)


def test_the_page_names_every_score() -> None:
    page = (PAGE.parent / "scores.md").read_text()
    assert not [name for name in (*SCORES, *FITTED) if f"| `{name}` |" not in page]
