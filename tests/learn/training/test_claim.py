"""Whose a run's folder is: another run is refused by the keys that differ, a failed start claims nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fabricated import training_root, write_pair

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import read_checkpoint
from oddroad.learn.training import module
from oddroad.learn.training.claim import NAME, Claim, check_claim, data_digest, write_claim
from oddroad.learn.training.fit import fit
from oddroad.recipe import Network, Optimiser, Outliers, Recipe, Scenes
from oddroad.reporting.learning_curves import PLACE, read_curves


def small(steps: int = 2) -> Recipe:
    """ERFNet's encoder, a recipe that trains in a second."""
    return Recipe(
        network=Network("erfnet", outlier=False, stage="encoder"),
        scenes=Scenes(sets=("camvid",), crop=(32, 64), scale=(0.3, 0.5), validation=("camvid",)),
        outliers=Outliers(probability=0.0, in_distribution=0.0),
        optim=Optimiser(steps=steps, warmup=1, batch=2, precision="fp32", ema=0.5),
    )


@pytest.fixture(scope="module")
def starts(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two checkpoints to start from, of two seeds, under one name."""
    folder = tmp_path_factory.mktemp("starts")
    return tuple(fit(replace(small(1), seed=seed), root, folder / str(seed), 99) for seed in (1, 2))  # type: ignore[return-value]


def test_another_run_is_refused_by_what_differs(root: Path, starts: tuple[Path, Path], tmp_path: Path) -> None:
    out, one, other = tmp_path / "run", *starts
    fit(small(4), root, out, 99, one, until=2)
    same: dict[str, Any] = {
        "recipe": small(4), "root": root, "out": out, "validate_every": 99, "init_from": one,
    }  # fmt: skip
    slower = replace(small(4), optim=replace(small(4).optim, lr=0.5))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"init_from": other}, r"init_from.sha256 is that of 'model.ckpt' \(\w{12}\), here that of 'model.ckpt'"),
        ({"init_from": None}, r"init_from is 'model.ckpt' \(\w{12}\), here not given"),
        ({"reinit": ("encoder.output_conv",)}, r"reinit is \[\], here \['encoder.output_conv'\]"),
        ({"recipe": slower}, "optim.lr is 0.001, here 0.5"),
        ({"recipe": replace(slower, seed=7)}, "optim.lr is 0.001, here 0.5; seed is 0, here 7"),
        ({"recipe": small(9)}, "a run of 4 steps that is at step 2; finish it with optim.steps 4, then"),
        ({"recipe": small(3)}, "optim.steps is 4, here 3"),
    ]
    for change, message in changes:
        changed: dict[str, Any] = {**same, **change}
        with pytest.raises(InputError, match=message):
            fit(**changed)
    done = fit(**same)
    written = done.read_bytes()
    for change, message in changes[:5]:
        changed = {**same, **change}
        with pytest.raises(InputError, match=message):
            fit(**changed)
    assert fit(**same) == done
    assert fit(**same, until=1) == done
    assert done.read_bytes() == written
    assert (
        read_checkpoint(done)[1]["origin"]["init_from_sha256"]
        == json.loads((out / NAME).read_text())["init_from"]["sha256"]
    )


def test_the_start_is_known_by_its_content(root: Path, starts: tuple[Path, Path], tmp_path: Path) -> None:
    moved = tmp_path / "renamed.ckpt"
    moved.write_bytes(starts[0].read_bytes())
    fit(small(2), root, tmp_path / "run", 99, starts[0], until=1)
    fit(small(2), root, tmp_path / "run", 99, moved)


def test_other_training_data_are_noticed_and_a_moved_root_is_not(root: Path, tmp_path: Path) -> None:
    one, two = (training_root(tmp_path / name) for name in ("one", "two"))
    fit(small(2), one, tmp_path / "run", 99, until=1)
    image = np.full((64, 128, 3), 90, np.uint8)
    write_pair(two / "camvid/train/images/more.jpg", two / "camvid/train/labels/more.png", image, image[..., 0] // 90)
    with pytest.raises(InputError, match=r"data is \w{12}, here \w{12}"):
        fit(small(2), two, tmp_path / "run", 99)
    one.rename(tmp_path / "elsewhere")
    fit(small(2), tmp_path / "elsewhere", tmp_path / "run", 99)
    with pytest.raises(InputError, match="cannot read"):
        data_digest(two, [two / "none.png"])


def test_a_finished_run_is_trained_longer(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = read_checkpoint(fit(small(2), root, out, 1))[0]
    state, about = read_checkpoint(fit(small(5), root, out, 1))
    assert about["origin"]["step"] == 5
    assert about["origin"]["schedules_before"] == [2]
    assert about["recipe"]["optim"]["steps"] == 5
    assert any(not torch.equal(first[name], state[name]) for name in first)
    assert {step for step, name, _ in read_curves(out / PLACE) if name == "miou"} == {1, 2, 3, 4, 5}
    again = read_checkpoint(fit(small(6), root, out, 1))[1]["origin"]
    assert again["schedules_before"] == [2, 5]
    with pytest.raises(InputError, match=r"optim\.steps is 6, here 5"):
        fit(small(5), root, out, 1)


def test_a_failed_start_claims_nothing(
    root: Path, starts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    whole = replace(small(1), network=Network("erfnet", outlier=False, auxiliary=False))
    failures: list[tuple[dict[str, Any], str]] = [
        ({"recipe": whole, "init_from": starts[0]}, "does not fit the recipe's network"),
        ({"recipe": replace(small(1), losses=(("isomax", 1.0),))}, "need the distance head"),
        ({"init_from": tmp_path / "none.ckpt"}, "no checkpoint"),
        ({"teacher": starts[0]}, "a teacher is given but"),
        ({"root": tmp_path}, "camvid"),
    ]
    for change, message in failures:
        options: dict[str, Any] = {"recipe": small(1), "root": root, "out": out, "validate_every": 99, **change}
        with pytest.raises(InputError, match=message):
            fit(**options)
        assert not out.exists()
    monkeypatch.setattr(module.Training, "training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(replace(small(1), seed=5), root, out, 99)
    monkeypatch.undo()
    assert fit(small(1), root, out, 99).is_file()  # there was no state, so that nothing is lost


def test_weights_without_a_claim_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"weights")
    claim = Claim.of(Recipe(), None, (), None, "")
    with pytest.raises(InputError, match=r"holds weights, but no readable run\.json"):
        check_claim(tmp_path, claim, 0)
    write_claim(tmp_path, claim, [])
    assert check_claim(tmp_path, claim, 0) == []


def test_progress_is_told(root: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    fit(small(2), root, tmp_path / "run", 2, validation_scenes=2, tell=lambda *each: told.append(each))
    assert told == [("training", 1, 2), ("training", 2, 2), ("validation", 1, 2), ("validation", 2, 2)]
