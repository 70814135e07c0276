"""Saved maps: numbers as in the file, shapes that belong together, the folders of SMIYC's kit, damage in one line."""

from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest
from own_set import HEIGHT, WIDTH, judge, write_set

from oddroad import InputError
from oddroad.datasets import DATASETS
from oddroad.evaluation.evaluate import evaluate
from oddroad.evaluation.saved_maps import open_saved, read_map
from oddroad.evaluation.workers import Settings
from oddroad.types import Sample


def nearly_one(heat):
    """Float64 scores of the same order, closer to each other than float32 resolves."""
    return 1 - 1e-9 * (10 - heat.astype(np.float64))


def test_float64_maps_rank_in_float64_or_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "folder", replace(DATASETS["folder"], min_sizes=(1, 1)))
    wanted = write_set(tmp_path, change=nearly_one)
    exact = judge(tmp_path, exact=True)
    assert exact["ap"] == pytest.approx(wanted, abs=1e-9)
    write_set(tmp_path / "plain")
    plain = judge(tmp_path / "plain")
    assert all(exact[name] == pytest.approx(plain[name]) for name in ("f1", "siou", "ppv", "f1_star"))
    assert exact["notes"] == ["no intervals: they count in float32, which does not resolve these float64 maps"]
    assert "intervals" not in exact
    assert judge(tmp_path / "plain", exact=True)["intervals"]["ap"] == pytest.approx(plain["intervals"]["ap"])
    note = judge(tmp_path)["notes"][0]
    assert note.startswith("the float64 maps differ by less than float32 resolves: AP of frame '")
    assert "in float64; --exact ranks in float64" in note


def test_float64_maps_that_float32_ranks_alike_are_not_spoken_of(tmp_path):
    wanted = write_set(tmp_path, change=lambda heat: heat.astype(np.float64) / 3)
    result = judge(tmp_path)
    assert result["ap"] == pytest.approx(wanted, abs=1e-6)
    assert result["notes"] == []


def test_scores_beyond_float32_are_refused_without_exact(tmp_path):
    wanted = write_set(tmp_path, change=lambda heat: 1e300 * heat.astype(np.float64))
    with pytest.raises(InputError, match="frame '0' holds float64 beyond float32, which only --exact"):
        judge(tmp_path)
    assert judge(tmp_path, exact=True)["ap"] == pytest.approx(wanted)


@pytest.mark.parametrize(
    "change",
    [
        lambda heat: heat.astype(np.float16),
        lambda heat: heat.astype(">f4"),
        lambda heat: heat[None, None],
        lambda heat: np.round(1000 * heat).astype(np.int32),
        lambda heat: np.round(1e9 * heat).astype(np.int64),
        lambda heat: (25 * (heat + 4)).clip(0, 255).astype(np.uint8),
    ],
)
def test_other_numbers_are_ranked_as_they_are(tmp_path, change):
    wanted = write_set(tmp_path, change=change)
    result = judge(tmp_path)
    assert result["ap"] == pytest.approx(wanted, abs=0.02)
    assert result["notes"] == []


def test_a_message_is_true_of_the_file(tmp_path):
    path = tmp_path / "map.npy"
    for values, message in (
        (np.zeros((1, 3, 4, 5)), r"holds float64 of shape \(1, 3, 4, 5\); expected one map"),
        (np.zeros((4, 5), complex), "holds complex128; expected float16"),
        (np.full((4, 5), 2**60), r"holds int64 up to 1152921504606846976, more than float64 resolves"),
        (np.zeros((0, 5), np.float32), r"holds float32 of shape \(0, 5\)"),
        (np.zeros(7, np.float32), r"holds float32 of shape \(7,\)"),
    ):
        np.save(path, values)
        with pytest.raises(InputError, match=message):
            read_map(path)
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    (tmp_path / "two.npz").rename(path)
    with pytest.raises(InputError, match="holds several arrays"):
        read_map(path)
    for damage in (b"", b"none", b"\x93NUMPY\x01\x00"):
        path.write_bytes(damage)
        with pytest.raises(InputError, match="no readable map"):
            read_map(path)


def test_hdf5_files_are_read_or_named(tmp_path):
    path = tmp_path / "map.hdf5"
    with h5py.File(path, "w") as opened:
        opened["value"] = np.arange(20.0).reshape(4, 5)
        opened["note"] = "a text beside it"
    assert read_map(path).shape == (4, 5)
    whole = path.read_bytes()
    with h5py.File(path, "w") as opened:
        opened["value"] = np.zeros((4, 5))
        opened["other"] = np.zeros((4, 5))
    with pytest.raises(InputError, match=r"holds 2 arrays \(other, value\); expected a single map"):
        read_map(path)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(InputError, match=r"holds 0 arrays \(none\)"):
        read_map(path)
    for damage in (
        whole[:100],
        whole[: len(whole) // 2],
        b"",
        b"none" * 100,
        whole[:600] + b"\xff" * (len(whole) - 600),
    ):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"map\.hdf5'") as error:
            read_map(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda heat: heat.T.copy(),
        lambda heat: heat[:-4],
        lambda heat: heat[:, :-6],
        lambda heat: np.repeat(heat, 2, axis=0),
    ],
)
@pytest.mark.parametrize("protocol", ["native", "network"])
def test_maps_of_another_aspect_are_refused_with_all_shapes(tmp_path, change, protocol):
    write_set(tmp_path, change=change)
    shape = change(np.zeros((HEIGHT, WIDTH))).shape
    wanted = rf"image 12 x 20, label 12 x 20, map {shape[0]} x {shape[1]}; expected one aspect"
    with pytest.raises(InputError, match=wanted):
        judge(tmp_path, protocol=protocol, size=(24, 24) if protocol == "network" else None)


def test_a_label_of_another_aspect_than_the_image_is_refused(tmp_path):
    write_set(tmp_path)
    for shape in ((20, 12), (12, 12)):
        cv2.imwrite(str(tmp_path / "masks/1.png"), np.ones(shape, np.uint8))
        np.save(tmp_path / "maps/1.npy", np.zeros(shape, np.float32))
        with pytest.raises(InputError, match=rf"image 12 x 20, label {shape[0]} x {shape[1]}, map {shape[0]}"):
            judge(tmp_path)


def test_maps_at_the_size_of_the_network_belong_to_protocol_network(tmp_path):
    wanted = write_set(tmp_path, change=lambda heat: cv2.resize(heat, (24, 24)))
    assert judge(tmp_path, protocol="network", size=(24, 24))["ap"] == pytest.approx(wanted, abs=0.2)
    with pytest.raises(InputError, match="map 24 x 24; expected one aspect"):
        judge(tmp_path)


def test_infinite_scores_rank_highest_but_cannot_be_resized(tmp_path):
    def saturated(heat):
        return np.where(heat > 1, np.inf, heat).astype(np.float32)

    write_set(tmp_path, change=saturated)
    ranked = judge(tmp_path, pictures=tmp_path / "pictures")["ap"]  # its picture has an end, too
    assert cv2.imread(str(next((tmp_path / "pictures").rglob("0.maps.png"))), cv2.IMREAD_GRAYSCALE).max() == 255
    write_set(tmp_path, change=lambda heat: np.minimum(saturated(heat), 1e9))
    assert judge(tmp_path)["ap"] == ranked > 0.1
    write_set(tmp_path, change=lambda heat: saturated(heat)[::2, ::2])
    with pytest.raises(InputError, match="frame '0' of 6 x 10 holds infinite values and is to be resized to 12 x 20"):
        judge(tmp_path)


def test_the_kit_writes_fishyscapes_below_the_names_of_lost_and_found(tmp_path):
    method = tmp_path / "anomaly_p/Method"
    for split, name in (("train", "a"), ("test", "b")):
        (method / f"LostAndFound-{split}").mkdir(parents=True)
        np.save(method / f"LostAndFound-{split}/{name}.npy", np.full((2, 2), ord(name), np.float32))
    (method / "LostAndFound-train/.a.npy").write_bytes(b"")
    for folder, score in ((method, "Method"), (tmp_path / "anomaly_p", "Method"), (tmp_path, "anomaly_p/Method")):
        predictor = open_saved(folder)
        assert predictor.scores == (score,)
        for name in "ab":
            sample = Sample(name, tmp_path / name, None, np.zeros(256, np.uint8))
            found = predictor.maps("fishyscapes_lost_and_found", sample, np.zeros(0))
            assert found[score][0, 0] == ord(name)
    sample = Sample("a", tmp_path / "a", None, np.zeros(256, np.uint8))
    with pytest.raises(InputError, match=r"no map of frame 'a' of lost_and_found; looked for a.npy in '.*-test'"):
        open_saved(method).maps("lost_and_found", sample, np.zeros(0))


def test_the_hash_of_saved_maps_is_that_of_their_content(tmp_path):
    write_set(tmp_path / "a")
    write_set(tmp_path / "b")
    one, other = judge(tmp_path / "a"), judge(tmp_path / "b")
    assert one["model_hash"] == other["model_hash"]
    assert len(one["model_hash"]) == 64
    assert one["model_file"] == str((tmp_path / "a/maps").resolve())
    np.save(tmp_path / "b/maps/1.npy", np.ones((HEIGHT, WIDTH), np.float32))
    assert judge(tmp_path / "b")["model_hash"] != one["model_hash"]


def test_a_size_does_nothing_for_saved_maps_in_protocol_native(tmp_path):
    write_set(tmp_path)
    with pytest.raises(InputError, match="--size does nothing for saved maps"):
        list(evaluate(Settings(str(tmp_path / "maps"), size=(6, 10)), ["folder"], tmp_path))


@pytest.mark.parametrize(
    "head",
    ["{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999), }", "{'descr': '<f8', (", '"', "é", "",
     "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }"],
)  # fmt: skip
def test_a_header_that_says_what_is_not_there(head, tmp_path):
    path = tmp_path / "a.npy"
    text = head.encode("latin1")
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))
    with pytest.raises(InputError, match="is no readable map"):
        read_map(path)


def test_an_archive_that_is_cut_off(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(InputError, match="several arrays or none"):
        read_map(path)


def test_numbers_in_another_file_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(48)))
    with h5py.File(tmp_path / "a.hdf5", "w") as opened:
        opened.create_dataset("value", (3, 4), "f4", external=[(str(tmp_path / "secret"), 0, 48)])
    with pytest.raises(InputError, match="lie in another file"):
        read_map(tmp_path / "a.hdf5")
