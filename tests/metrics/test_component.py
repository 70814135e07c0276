"""Component metrics against the golden files and a plain loop over components."""

import numpy as np
import pytest
from golden import golden, needs_golden
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label as scipy_label

from oddroad import InputError
from oddroad.metrics import ComponentMetric, components
from oddroad.metrics.component import TAUS

TRACKS = {"anomalytrack": (500, 100), "obstacletrack": (50, 10)}


def plain(predicted, label, min_predicted, min_truth):
    """The definition, one component at a time."""
    label = label.copy()
    eight = np.ones((3, 3), int)
    truth, truths = scipy_label(label == 1, eight)
    guess, guesses = scipy_label(predicted & (label != 255), eight)
    for each in range(1, truths + 1):
        if (truth == each).sum() < min_truth:
            label[truth == each] = 255
            truth[truth == each] = 0
    guess[np.isin(guess, [each for each in range(1, guesses + 1) if (guess == each).sum() < min_predicted])] = 0
    guess[label == 255] = 0
    siou, ppv = [], []
    for each in np.unique(truth[truth > 0]):
        own = truth == each
        touching = np.isin(guess, np.unique(guess[own & (guess > 0)]))
        others = (touching & (truth > 0) & ~own).sum()
        siou.append((own & touching).sum() / ((own | touching).sum() - others))
    for each in np.unique(guess[guess > 0]):
        ppv.append(((guess == each) & (label == 1)).sum() / (guess == each).sum())
    return siou, ppv


@given(seed=st.integers(0, 10_000), min_predicted=st.integers(1, 6), min_truth=st.integers(1, 6))
def test_equals_the_plain_loop(seed, min_predicted, min_truth):
    draw = np.random.default_rng(seed)
    label = np.kron(draw.choice([0, 1, 255], p=[0.6, 0.3, 0.1], size=(6, 8)), np.ones((2, 2), int)).astype(np.uint8)
    predicted = np.kron(draw.random((6, 8)) < 0.4, np.ones((2, 2), bool)) ^ (draw.random((12, 16)) < 0.1)
    found = components(predicted, label, min_predicted, min_truth)
    siou, ppv = plain(predicted, label, min_predicted, min_truth)
    np.testing.assert_allclose(np.sort(found.siou), np.sort(siou), atol=1e-12)
    np.testing.assert_allclose(np.sort(found.ppv), np.sort(ppv), atol=1e-12)


@needs_golden
@pytest.mark.parametrize("track", TRACKS)
def test_golden(track):
    wanted = golden("metrics_components_pixels.npz")
    np.testing.assert_array_equal(TAUS, wanted["taus"])
    assert tuple(wanted[f"{track}_min_sizes"]) == TRACKS[track]
    whole = ComponentMetric(float(wanted["threshold"]), *TRACKS[track])
    for pair in range(4):
        scores, label = wanted["scores"][pair], wanted["labels"][pair]
        found = components(scores.astype(np.float32) > 0.5, label, *TRACKS[track])
        pairs = ("siou", "sIoU_gt"), ("truth_sizes", "size_gt"), ("ppv", "prec_pred"), ("predicted_sizes", "size_pred")
        for ours, theirs in pairs:
            expected = np.sort(wanted[f"{track}_{pair}_{theirs}"])
            np.testing.assert_allclose(np.sort(getattr(found, ours)), expected, atol=1e-9)
        part = ComponentMetric(float(wanted["threshold"]), *TRACKS[track])
        part.add(scores, label)
        np.testing.assert_array_equal(part.true_positives, wanted[f"{track}_{pair}_tp"])
        np.testing.assert_array_equal(part.false_negatives, wanted[f"{track}_{pair}_fn"])
        np.testing.assert_array_equal(part.false_positives, wanted[f"{track}_{pair}_fp"])
        whole.merge(part)
    result = whole.result()
    assert result["f1_star"] == pytest.approx(float(wanted[f"{track}_f1_star"]), abs=1e-9)
    assert result["siou"] == pytest.approx(float(wanted[f"{track}_mean_sIoU"]), abs=1e-9)
    assert result["ppv"] == pytest.approx(float(wanted[f"{track}_mean_PPV"]), abs=1e-9)


def test_a_score_at_the_threshold_is_not_predicted():
    metric = ComponentMetric(0.5, 1, 1)
    metric.add(np.float32([[0.5, 0.1]]), np.uint8([[1, 0]]))
    assert metric.result()["predicted_components"] == 0
    assert metric.result()["ppv"] == 0


def test_half_precision_maps_meet_a_float32_threshold():
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    metric = ComponentMetric(below, 1, 1)
    metric.add(np.float16([[0.5, 0.1]]), np.uint8([[1, 0]]))
    assert metric.result()["f1_star"] == 1


def test_nothing_to_find_is_no_figure():
    metric = ComponentMetric(0.5, 1, 1)
    metric.add(np.float32([[0.7, 0.1]]), np.uint8([[0, 0]]))
    assert np.isnan(metric.result()["siou"])
    assert np.isnan(metric.result()["f1_star"])


def test_nan_is_named():
    with pytest.raises(InputError, match="frame 'b' holds 1 NaN"):
        ComponentMetric(0.5, 1, 1).add(np.float32([[np.nan]]), np.uint8([[1]]), "b")


def test_a_set_worked_out_by_hand():
    """Of two true components one is found whole and one by half; one of three predicted ones lies on nothing."""
    frames = [
        (np.float32([[0.9, 0.1, 0.0, 0.9, 0.1]]), np.uint8([[1, 1, 0, 0, 255]])),
        (np.float32([[0.9, 0.1, 0.9]]), np.uint8([[1, 0, 255]])),
    ]
    whole, parts = ComponentMetric(0.5, 1, 1), [ComponentMetric(0.5, 1, 1) for _ in frames]
    for part, (scores, labels) in zip(parts, frames, strict=True):
        whole.add(scores, labels)
        part.add(scores, labels, "named")
    parts[0].merge(parts[1])
    for metric in (whole, parts[0]):
        found = metric.result()
        assert found == {
            "siou": 0.75, "ppv": pytest.approx(2 / 3), "f1_star": pytest.approx((6 * 4 / 5 + 5 * 2 / 4) / 11),
            "components": 2, "predicted_components": 3,
        }  # fmt: skip
        assert {type(value) for value in found.values()} == {float}
        counts = metric.true_positives, metric.false_negatives, metric.false_positives, metric.numbers
        assert all(each.dtype == np.int64 for each in counts)


def test_the_smallest_sizes_count():
    scores, labels = np.float32([[0.9, 0.9, 0, 0.9, 0]]), np.uint8([[1, 1, 0, 1, 0]])
    assert [ComponentMetric(0.5, least, 1).min_predicted for least in (1, 2)] == [1, 2]
    for predicted, truth, expected in ((1, 1, (2, 2)), (2, 1, (2, 1)), (3, 1, (2, 0)), (1, 2, (1, 1)), (1, 3, (0, 0))):
        metric = ComponentMetric(0.5, predicted, truth)
        metric.add(scores, labels)
        assert tuple(metric.numbers) == expected, (predicted, truth)


def test_a_frame_without_a_name_has_an_empty_one():
    with pytest.raises(InputError, match="frame ''"):
        ComponentMetric(0.5, 1, 1).add(np.float32([[np.nan]]), np.uint8([[1]]))


def test_nothing_added_is_no_figure():
    found = ComponentMetric(0.5, 1, 1).result()
    assert np.isnan([found["siou"], found["f1_star"]]).all()
    assert (found["ppv"], found["components"], found["predicted_components"]) == (0, 0, 0)


def test_double_precision_is_compared_as_it_is():
    threshold = 0.1
    scores = np.float64([[threshold, np.nextafter(threshold, 1), 0, 1e300]])
    metric = ComponentMetric(threshold, 1, 1)
    metric.add(scores, np.uint8([[0, 1, 0, 1]]))
    assert metric.result()["f1_star"] == 1
    assert metric.numbers.tolist() == [2, 2]


def test_a_share_at_a_step_counts_as_reached():
    metric = ComponentMetric(0.5, 1, 1)
    metric.add(np.float32([[0.9, 0.9, 0]]), np.uint8([[1, 0, 0]]))
    assert metric.result()["ppv"] == metric.result()["siou"] == TAUS[5] == 0.5
    assert metric.true_positives.tolist() == [1] * 6 + [0] * 5
    assert metric.false_positives.tolist() == [0] * 6 + [1] * 5
