"""Maps that an interrupted run left: reused for the same model, options and images, and never for anything else."""

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest
from own_set import judge, write_set

from oddroad import InputError
from oddroad.evaluation import evaluate as module
from oddroad.evaluation.cache import LOCK, key_of, load_map, take, working_folder
from oddroad.evaluation.predictors import Predictor

CALLS: list[str] = []


class Interrupted(BaseException):
    """The run is killed in its second pass."""


def model_of(**changes):
    """An opener of a model whose map is the brightness of the image."""

    def opened(model, scores, threads):
        def maps(dataset, sample, image):
            CALLS.append(sample.name)
            return {"good": image.mean(2).astype(np.float32)}

        predictor = Predictor("fake", "f" * 64, ("good",), maps, about={"engine": "e", "engine_version": "1"})
        return replace(predictor, **changes)

    return opened


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A set whose evaluation was killed when all maps were made."""

    def killed(*given):
        raise Interrupted

    write_set(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module, "frames_to_draw", killed)
        with pytest.raises(Interrupted):
            judge(tmp_path, opener=model_of())
    assert len(list((tmp_path / "work").rglob("*.npy"))) == 3
    CALLS.clear()
    return tmp_path


def about(**more):
    return {"about": {"engine": "e", "engine_version": "1", **more}}


def test_the_same_run_goes_on(interrupted):
    result = judge(interrupted, opener=model_of())
    assert CALLS == []
    assert result["frames_computed"] == 0
    assert any(note.startswith("went on from an interrupted run") for note in result["notes"])
    assert not (interrupted / "work").exists()


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (about(flip_tta="averaged"), {}),
        (about(plugin="1" * 64), {}),
        (about(engine="other"), {}),
        (about(engine_version="2"), {}),
        (about(upsample="logits"), {}),
        (about(precision="bfloat16"), {}),
        ({"sha256": "e" * 64}, {}),
        ({"scores": ("other",)}, {}),
        ({}, {"size": (6, 10)}),
        ({}, {"protocol": "network", "size": (12, 20)}),
    ],
)
def test_another_model_option_or_code_starts_anew(interrupted, model, settings):
    def opened(*given):
        predictor = model_of(**model)(*given)
        inner = predictor.maps
        return replace(predictor, maps=lambda *each: dict(zip(predictor.scores, inner(*each).values(), strict=True)))

    assert judge(interrupted, opener=opened, **settings)["frames_computed"] == 3
    assert CALLS == ["0", "1", "2"]


def test_another_version_of_ours_starts_anew(interrupted, monkeypatch):
    monkeypatch.setattr(module, "version", lambda name: "9.9")
    assert judge(interrupted, opener=model_of())["frames_computed"] == 3


def test_other_pixels_start_anew_whatever_their_name_size_and_date(interrupted):
    path = interrupted / "images/1.png"
    before = path.stat()
    pixels = np.full((12, 20, 3), 7, np.uint8)
    cv2.imwrite(str(path), pixels)
    data = path.read_bytes()
    path.write_bytes(data + bytes(max(before.st_size - len(data), 0)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    judge(interrupted, opener=model_of())
    assert CALLS == ["1"]


def test_another_root_with_equal_names_starts_anew(interrupted):
    write_set(interrupted / "b")
    for path in (interrupted / "b/images").iterdir():
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
        os.utime(path, (1.0e9, 1.0e9))
    result = judge(interrupted / "b", opener=model_of(), work=interrupted / "work")
    alone = judge(interrupted / "b", opener=model_of(), work=interrupted / "other")
    assert result["frames_computed"] == 3
    assert result["ap"] == alone["ap"]


def test_labels_of_another_size_start_anew(interrupted):
    for path in (interrupted / "masks").iterdir():
        cv2.imwrite(str(path), np.kron(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.ones((2, 2), np.uint8)))
    assert judge(interrupted, opener=model_of())["frames_computed"] == 3


def test_a_damaged_map_is_made_again(interrupted):
    path = sorted((interrupted / "work").rglob("*.npy"))[0]
    path.write_bytes(path.read_bytes()[:100])
    judge(interrupted, opener=model_of())
    assert len(CALLS) == 1
    np.save(tmp := interrupted / "small.npy", np.zeros((2, 2)))
    assert load_map(tmp, (2, 3)) is None
    assert load_map(tmp, (2, 2)) is not None


def test_two_runs_at_once_have_a_folder_each(tmp_path):
    key = key_of({"a": 1})
    with working_folder(tmp_path / "work", key) as one:
        with working_folder(tmp_path / "work", key) as other:
            assert one != other
            (other / "map.npy").write_bytes(b"x")
        assert (other / "map.npy").is_file()
        assert take(one) is None
        (one / "map.npy").write_bytes(b"x")
    with working_folder(tmp_path / "work", key) as again:
        assert again == one
        (again / "map.npy").unlink()
    assert not one.exists()
    with working_folder(tmp_path / "work", key_of({"a": 2})) as another:
        assert another not in (one, other)
        assert (another / LOCK).is_file()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    wanted = r"cannot keep maps in '.*file/work': .*; pass another folder as --work"
    with pytest.raises(InputError, match=wanted), working_folder(tmp_path / "file/work", "key"):
        pass
