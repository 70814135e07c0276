"""States of a run: whole or not there, damage is noticed, and the one before stays usable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import read_checkpoint, save_checkpoint
from oddroad.learn.training.checkpoints import WholeFiles, damage, newest_state, states_of
from oddroad.learn.training.csv_logger import CurveLogger
from oddroad.reporting.learning_curves import HEAD, read_curves


def write(folder: Path, step: int) -> Path:
    """One state."""
    path = folder / f"step-{step:08d}.ckpt"
    WholeFiles().save_checkpoint({"global_step": step, "weights": torch.arange(1000.0) + step}, path)
    return path


def spoil(path: Path) -> None:
    """Turn one byte in the middle of the file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_the_newest_is_found_and_read_as_data(tmp_path: Path) -> None:
    assert newest_state(tmp_path) == (0, None)
    for step in (5, 100, 20):
        write(tmp_path, step)
    (tmp_path / "step-00000200.ckpt.partial").write_bytes(b"half")
    step, path = newest_state(tmp_path)
    assert step == 100
    assert path is not None
    assert WholeFiles().load_checkpoint(path)["weights"][0] == 100
    torch.save({"code": Path}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="cannot be read"):
        WholeFiles().load_checkpoint(tmp_path / "evil.ckpt")


@pytest.mark.parametrize("how", ["one byte", "cut off", "empty"])
def test_a_damaged_state_is_passed_over(tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, 5)
    last = write(tmp_path, 10)
    if how == "one byte":
        spoil(last)
    else:
        last.write_bytes(last.read_bytes()[: 800 if how == "cut off" else 0])
    assert damage(last)
    step, path = newest_state(tmp_path)
    assert (step, path) == (5, tmp_path / "step-00000005.ckpt")
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "step-00000010.ckpt' is damaged" in told
    assert "goes on from the one before it, step 5" in told
    spoil(tmp_path / "step-00000005.ckpt")
    with pytest.raises(InputError, match=r"every state in .* is damaged .* delete that folder"):
        newest_state(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line_and_the_state_before_stays(tmp_path: Path) -> None:
    before = write(tmp_path, 5)
    (tmp_path / "step-00000010.ckpt.partial").symlink_to("/dev/full")
    with pytest.raises(
        InputError, match=r"cannot write the state of step 10 to .* No space left on device; .*what was"
    ):
        write(tmp_path, 10)
    assert newest_state(tmp_path) == (5, before)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005.ckpt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_checkpoint_on_a_full_disk(tmp_path: Path) -> None:
    path, network = tmp_path / "model.ckpt", torch.nn.Linear(2, 2)
    save_checkpoint(path, network, {"network": "none"})
    before = path.read_bytes()
    (tmp_path / "model.ckpt.partial").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"cannot write the checkpoint to .*: No space left on device"):
        save_checkpoint(path, network, {"network": "other"})
    assert path.read_bytes() == before
    assert read_checkpoint(path)[1]["network"] == "none"


def test_states_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for step in (999, 1000, 123456789):
        (tmp_path / f"step-{step:08d}.ckpt").touch()
    (tmp_path / "step-x.ckpt").touch()
    assert [step for step, _ in states_of(tmp_path)] == [123456789, 1000, 999]


def test_curves_go_on_where_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log" / "metrics.csv"
    logger = CurveLogger(path, 0)
    for step in range(4):
        logger.log_metrics({"loss": 1 / (step + 1), "epoch": 0}, step)
    path.write_text(path.read_text() + "5,mi")  # killed in the middle of a line
    CurveLogger(path, 2).log_metrics({"loss": 9.0}, 2)
    assert read_curves(path) == [(1, "loss", 1.0), (2, "loss", 0.5), (3, "loss", 9.0)]
    assert path.read_text().startswith(HEAD)


def test_other_files_are_no_curves(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with pytest.raises(InputError, match="cannot read the curves"):
        read_curves(path)
    path.write_text("a,b\n")
    with pytest.raises(InputError, match="does not begin with 'step,figure,value'"):
        read_curves(path)
    path.write_text(HEAD + "one,loss,2\n")
    with pytest.raises(InputError, match=r"line 2 of .* is 'one,loss,2'"):
        read_curves(path)
