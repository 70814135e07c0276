"""Runs that are killed and go on, a full disk, a damaged state, and two processes: the command as a user starts it."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from own_process import start_command

from oddroad.cli.main import main
from oddroad.io.folder_lock import FolderLock
from oddroad.learn.checkpoints.format import read_checkpoint
from oddroad.learn.training.checkpoints import newest_state, states_of
from oddroad.reporting.learning_curves import PLACE, read_curves

RECIPE = """
network: {name: erfnet, outlier: false, auxiliary: true, normalisation: unit, stride: 2}
scenes: {crop: [32, 64], scale: [0.2, 0.5], validation: [camvid]}
outliers: {probability: 0.5, in_distribution: 0.5}
losses: {cross_entropy: 1.0, auxiliary_cross_entropy: 0.4}
optim: {name: adam, lr: 1.0e-3, steps: 24, warmup: 3, batch: 2, precision: fp32, ema: 0.9}
"""
"""With dropout, running statistics, momentum, a schedule and averaged weights: all that has to be restored."""

TWO = """
network: {name: ddrnet23_slim, outlier: true, auxiliary: true}
scenes: {crop: [64, 128], scale: [0.3, 0.6], validation: [cityscapes_small, camvid]}
outliers: {probability: 0.5, in_distribution: 0.5}
losses: {cross_entropy: 1.0, group_cross_entropy: 0.5, auxiliary_cross_entropy: 0.4}
class_weights: {rule: enet}
optim:
  {name: sgd, lr: 1.0e-3, steps: 4, warmup: 1, batch: 4, precision: fp32, clip: 1.0, ema: 0.5, norms: frozen}
"""
"""Without dropout and with frozen statistics of batch norm: what two processes compute is what one computes."""


def command(root: Path, out: Path, recipe: str, *words: str) -> list[str]:
    """The words after 'oddroad'."""
    path = out.parent / f"{out.name}.yaml"
    path.write_text(recipe)
    given = ["--recipe", str(path), "--root", str(root), "--out", str(out), "--save-every", "2"]
    return ["train", *given, "--validation-scenes", "3", *words]


def same_weights(one: Path, two: Path) -> bool:
    """Whether two runs ended with the same bits: averaged weights, and the state with optimiser and current ones."""
    first, second = (read_checkpoint(each / "model.ckpt")[0] for each in (one, two))
    states = [torch.load(newest_state(each / "state")[1], weights_only=True) for each in (one, two)]  # type: ignore[arg-type]
    assert states[0]["global_step"] == 24
    current = [each["current_model_state"] for each in states]
    momenta = [each["optimizer_states"][0]["state"] for each in states]
    return (
        all(torch.equal(first[name], second[name]) for name in first)
        and all(torch.equal(current[0][name], current[1][name]) for name in current[0])
        and all(torch.equal(momenta[0][at]["exp_avg_sq"], momenta[1][at]["exp_avg_sq"]) for at in momenta[0])
    )


def test_killed_at_random_and_resumed_is_undisturbed_bit_by_bit(root: Path, tmp_path: Path) -> None:
    words = ("--validate-every", "7")
    assert main(command(root, tmp_path / "whole", RECIPE, *words)) == 0
    killed, state = command(root, tmp_path / "killed", RECIPE, *words), tmp_path / "killed" / "state"
    steps = []
    for wanted in (random.randrange(2, 11), random.randrange(13, 19)):  # in both halves, and twice in one run
        running = start_command(killed, tmp_path / "output.txt")
        while max([0, *(step for step, _ in states_of(state))]) < wanted and running.is_alive():
            time.sleep(0.01)
        running.kill()
        running.join()
        assert running.exitcode == -signal.SIGKILL, (tmp_path / "output.txt").read_text()[-2000:]
        assert not (tmp_path / "killed" / "model.ckpt").exists()
        steps.append(newest_state(state)[0])
    assert main(killed) == 0
    assert same_weights(tmp_path / "whole", tmp_path / "killed"), f"killed after steps {steps}"
    curves = [read_curves(tmp_path / name / PLACE) for name in ("whole", "killed")]
    one, two = ({step: value for step, figure, value in each if figure == "miou"} for each in curves)
    assert set(one) == {7, 14, 21}
    assert two.items() <= one.items()
    assert set(one) - set(two) <= set(steps)  # a validation under way at the kill, after the state was written
    assert any((tmp_path / "killed" / "log").glob("events.out.tfevents.*"))


def test_a_second_run_into_the_same_folder_is_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FolderLock(tmp_path / "run"):
        assert main(command(root, tmp_path / "run", RECIPE)) == 2
    assert "belongs to a run that still works" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_and_a_damaged_state(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = command(root, out, RECIPE, "--validate-every", "100", "--until", "6")
    (out / "state").mkdir(parents=True)
    (out / "state" / "step-00000006.ckpt.partial").symlink_to("/dev/full")
    assert main(words) == 2
    full = capsys.readouterr().err
    told = [line for line in full.splitlines() if line.startswith("oddroad:")]
    assert len(told) == 1
    assert "cannot write the state of step 6" in told[0]
    assert "No space left on device" in told[0]
    assert "Traceback" not in full
    assert newest_state(out / "state")[0] == 4
    state = out / "state" / "step-00000004.ckpt"
    state.write_bytes(state.read_bytes()[:100_000])
    assert main(words) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("oddroad:")]
    assert len(told) == 1
    assert "goes on from the one before it, step 2" in told[0]
    assert read_checkpoint(out / "model.ckpt")[1]["origin"]["step"] == 6


def launched(words: list[str]) -> str:
    """What two processes print that PyTorch's launcher starts, as a user does."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "oddroad.cli.main"]
    done = subprocess.run([sys.executable, "-m", *launcher, *words], capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def forked(words: list[str], folder: Path) -> str:
    """The same with the launcher's variables set by us, for the launcher alone takes ten seconds of the processor."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "False"}
    outputs = [folder / f"output{rank}.txt" for rank in "01"]
    processes = [
        start_command(words, output, {**shared, "RANK": rank, "LOCAL_RANK": rank})
        for rank, output in zip("01", outputs, strict=True)
    ]
    for process, output in zip(processes, outputs, strict=True):
        process.join(540)
        assert process.exitcode == 0, output.read_text()[-2000:]
    return "".join(each.read_text() for each in outputs)


@pytest.mark.parametrize("launcher", ["ours", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_two_processes_judge_as_one_with_the_same_batch(launcher: str, root: Path, tmp_path: Path) -> None:
    words = ("--validate-every", "2")
    assert main(command(root, tmp_path / "one", TWO, *words)) == 0
    two = command(root, tmp_path / "two", TWO, *words)
    printed = launched(two) if launcher == "torchrun" else forked(two, tmp_path)
    assert printed.count("trained:") == 1
    curves = [
        {(step, name): value for step, name, value in read_curves(tmp_path / run / PLACE)} for run in ("one", "two")
    ]
    figures = ("miou", "ap_max_logit", "fpr95_max_logit", "ap_outlier_head", "ap_joint")
    assert {(step, name) for step in (2, 4) for name in figures} <= curves[0].keys()
    assert curves[0].keys() == curves[1].keys()
    for at, value in curves[0].items():
        assert curves[1][at] == pytest.approx(value, rel=1e-3, abs=1e-4), at
    first, second = (read_checkpoint(tmp_path / run / "model.ckpt")[0] for run in ("one", "two"))
    apart = max(float((first[name] - second[name]).abs().max()) for name in first if first[name].is_floating_point())
    assert apart < 1e-5
    assert np.isfinite(apart)


def test_a_batch_that_cannot_be_shared(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oddroad.errors import InputError
    from oddroad.learn.training.fit import fit
    from oddroad.recipe import Recipe

    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match="a batch of 8 cannot be shared by 3 processes evenly"):
        fit(Recipe(), root, tmp_path)
