"""Pixel metrics against scikit-learn and the golden files."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from golden import golden, needs_golden
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from oddroad import InputError
from oddroad.metrics import ExactPixelMetric, PixelMetric
from oddroad.metrics.pixel import floats_of, just_below, keys_of

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def reference(scores, odd):
    """AP, AUROC, FPR95 and best F1 by scikit-learn."""
    scores = scores.astype(np.float64)
    fpr, tpr, _ = roc_curve(odd, scores, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(odd, scores)
    return {
        "ap": average_precision_score(odd, scores),
        "auroc": roc_auc_score(odd, scores),
        "fpr95": fpr[np.argmax(tpr >= 0.95)],
        "f1": (2 * precision * recall / np.maximum(precision + recall, 1e-300)).max(),
    }


@st.composite
def scored(draw, elements=FINITE):
    scores = draw(arrays.arrays(np.float32, st.integers(2, 60), elements=elements))
    odd = draw(arrays.arrays(bool, len(scores)))
    odd[0], odd[-1] = True, False
    return scores, odd


def added(metric, scores, odd, parts=1):
    for values, labels in zip(np.array_split(scores, parts), np.array_split(odd, parts), strict=True):
        metric.add(values[None], labels[None].astype(np.uint8))
    return metric


@given(arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32, allow_nan=False)))
def test_keys_keep_the_order_and_come_back(scores):
    keys, plain = keys_of(scores), scores + np.float32(0)
    np.testing.assert_array_equal(floats_of(keys), plain)
    np.testing.assert_array_equal(keys[:, None] < keys[None], plain[:, None] < plain[None])
    above = plain > -np.inf
    np.testing.assert_array_equal(plain[:, None] > just_below(keys[above])[None], plain[:, None] >= plain[above][None])


@pytest.mark.parametrize("kind", [PixelMetric, ExactPixelMetric])
@given(data=scored() | scored(st.sampled_from([0.0, -0.0, 1e-45, 0.25, 1.0, -3.4e38, 3.4e38])))
@example(data=(np.full(2, -np.finfo(np.float32).max), np.array([True, False])))
def test_figures_are_those_of_scikit_learn(kind, data):
    scores, odd = data
    result = added(kind(), scores, odd, parts=3 if len(scores) > 5 else 1).result()
    for name, value in reference(scores, odd).items():
        assert result[name] == pytest.approx(value, abs=1e-9), name
    assert result["ap_error"] == result["fpr95_error"] == 0
    predicted = scores > np.float32(result["threshold"])
    f1 = 2 * (predicted & odd).sum() / (predicted.sum() + odd.sum())
    assert f1 == pytest.approx(result["f1"])


@settings(max_examples=100)
@given(data=scored(), bins=st.integers(2, 12))
def test_the_bound_of_the_error_holds_however_few_the_bins(data, bins):
    scores, odd = data
    metric = added(PixelMetric(bins), scores, odd)
    metric.settle()
    assert len(metric.lowest) <= bins
    result, truth = metric.result(), reference(scores, odd)
    assert abs(result["ap"] - truth["ap"]) <= result["ap_error"] + 1e-12
    assert abs(result["fpr95"] - truth["fpr95"]) <= result["fpr95_error"] + 1e-12


FRAMES = st.lists(scored() | scored(st.sampled_from([0.0, 0.5, 0.75, 1.0])), min_size=2, max_size=5)


@given(frames=FRAMES, bins=st.integers(2, 12), seed=st.integers(0, 9))
def test_order_and_parts_do_not_matter(frames, bins, seed):
    whole, first, second = PixelMetric(bins), PixelMetric(bins), PixelMetric(bins)
    for each in frames:
        added(whole, *each)
    order = np.random.default_rng(seed).permutation(len(frames))
    cut = seed % len(frames)
    for number, at in enumerate(order):
        added(second if number < cut else first, *frames[at])
    first.merge(second)
    whole.settle()
    assert first.shift == whole.shift
    for name in ("lowest", "highest", "counts", "ties", "tie_counts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(whole, name))


def test_values_that_fill_a_frame_are_counted_apart_until_they_are_too_many(monkeypatch):
    monkeypatch.setattr("oddroad.metrics.pixel.TIES", 2)
    metric, odd = PixelMetric(bins=4), np.arange(64) % 2 > 0
    for value in (0.25, 0.25, 0.5):
        added(metric, np.full(64, value, np.float32), odd)
    assert floats_of(metric.ties).tolist() == [0.25, 0.5]
    assert metric.tie_counts.tolist() == [[64, 32], [64, 32]]
    added(metric, np.full(64, 0.75, np.float32), odd)
    assert not metric.apart
    assert len(metric.ties) == 0
    metric.settle()
    assert metric.counts.sum() == 256
    added(metric, np.full(64, 0.75, np.float32), odd)
    assert len(metric.ties) == 0


def distributions():
    draw = np.random.default_rng(0)
    odd = draw.random(1_500_000) < 0.02
    base = (draw.normal(size=odd.size) + 1.5 * odd).astype(np.float32)
    small = draw.random(odd.size) < 0.5
    return odd, {
        "gauss": base,
        "probability": 1 / (1 + np.exp(5 - 3 * base)),
        "piled at zero": 1e-6 * np.exp(3 * base),
        "logits": 3 * base - 15,
        "three digits": np.round(base, 3),
        "half precision": base.astype(np.float16).astype(np.float32),
        "saturated": np.clip(base, -0.4, 2.3),
        "ties within a continuum": np.where(small, base, np.round(base, 1)),
        "huge and tiny": base * np.float32(10) ** draw.integers(-30, 30, odd.size).astype(np.float32),
    }


def test_a_large_set_is_exact_to_a_ten_thousandth_in_a_megabyte():
    odd, scores = distributions()
    for name, values in scores.items():
        metric, exact = PixelMetric(), ExactPixelMetric()
        for each in (metric, exact):
            added(each, values.astype(np.float32), odd, parts=2)
        metric.settle()
        state = metric.lowest, metric.highest, metric.counts, metric.ties, metric.tie_counts
        assert sum(part.nbytes for part in state) < 1.9e6, name
        result, truth = metric.result(), exact.result()
        for figure in ("ap", "fpr95", "auroc", "f1"):
            assert result[figure] == pytest.approx(truth[figure], abs=1e-4), (name, figure)


@needs_golden
@pytest.mark.parametrize("kind", [PixelMetric, ExactPixelMetric])
def test_golden(kind):
    wanted = golden("metrics_components_pixels.npz")
    pooled = kind()
    for pair in range(5):
        metric = pooled
        if pair < 4:
            metric = kind()
            metric.add(wanted["scores"][pair], wanted["labels"][pair])
            pooled.merge(metric)
        result = metric.result()
        for ours, theirs in (("ap", "AP"), ("auroc", "AUROC"), ("fpr95", "FPR95"), ("f1", "best_f1")):
            assert result[ours] == pytest.approx(wanted[f"pixel_{theirs}"][pair], abs=1e-9)
        at_least = np.nextafter(np.float32(result["threshold"]), np.float32(np.inf))
        assert at_least == pytest.approx(wanted["pixel_best_f1_threshold"][pair], abs=1e-9)
        assert result["pixels"] == wanted["pixel_n_pixels"][pair]
        assert result["anomaly_pixels"] == wanted["pixel_n_anomaly"][pair]


@pytest.mark.parametrize("kind", [PixelMetric, ExactPixelMetric])
def test_the_ignored_pixels_do_not_count(kind):
    metric = kind()
    metric.add(np.float32([[0.9, 0.1, 5.0]]), np.uint8([[1, 0, 255]]))
    assert metric.result()["ap"] == 1
    assert metric.result()["pixels"] == 2


def test_without_anomalies_there_is_no_figure():
    metric = PixelMetric()
    metric.add(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.uint8))
    result = metric.result()
    assert np.isnan(result["ap"])
    assert result["prevalence"] == 0
    assert metric.ranking().curve()["recall"] == []


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.float32([[np.nan, 1]]), np.uint8([[0, 1]]), "frame 'a.png' holds 1 NaN"),
        (np.float32([[0, 1]]), np.uint8([[0, 2]]), r"frame 'a.png' holds \[2\]"),
        (np.float32([[0, 1]]), np.uint8([[0], [1]]), r"shape \(1, 2\) and its label \(2, 1\)"),
    ],
)
def test_bad_frames_are_named(scores, labels, message):
    with pytest.raises(InputError, match=message):
        PixelMetric().add(scores, labels, "a.png")


def test_curves_pass_through_known_points():
    draw = np.random.default_rng(1)
    odd = draw.random(20_000) < 0.1
    metric = added(PixelMetric(), (draw.normal(size=odd.size) + odd).astype(np.float32), odd)
    curve = metric.ranking().curve(400)
    assert len(curve["recall"]) <= 400
    assert curve["recall"][-1] == 1
    at = np.searchsorted(curve["recall"], 0.95)
    assert curve["fpr"][at] == pytest.approx(metric.result()["fpr95"], abs=0.02)
    assert metric.quantiles([0.5])[0] == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("kind", [PixelMetric, ExactPixelMetric])
def test_exactly_95_percent_found_is_enough(kind):
    odd = np.array([True] * 19 + [False] * 10 + [True])
    result = added(kind(), -np.arange(30, dtype=np.float32), odd).result()
    assert result["fpr95"] == 0


def test_quantiles_count_the_last_frame():
    metric, odd = PixelMetric(64), np.arange(300) % 2 > 0
    for seed in range(2):
        added(metric, np.random.default_rng(seed).normal(size=300).astype(np.float32), odd)
    before = metric.quantiles([0.5])
    added(metric, np.float32([7, 8, 9]).repeat(300), np.arange(900) % 2 > 0)
    added(metric, np.linspace(10, 11, 2000, dtype=np.float32), np.arange(2000) % 2 > 0)
    assert before[0] < 1 < 7 < metric.quantiles([0.5])[0]


def frames_of_all_kinds(draw, count):
    """Frames with continuous scores, clipped ones, few values, infinities, and frames of one kind of pixel."""
    for number in range(count):
        label = draw.choice([0, 1, 255], p=[0.85, 0.1, 0.05], size=(40, 60)).astype(np.uint8)
        heat = (draw.normal(size=label.shape) * 10.0 ** draw.integers(-3, 3) + 2.0 * (label == 1)).astype(np.float32)
        if number % 3 == 0:
            heat = heat.clip(-0.5, draw.choice([0.7, 1.0]))
        if number % 4 == 1:
            heat[:10] = np.round(heat[:10], 1)
            heat[0, :3] = -np.inf, np.inf, -0.0
        if number % 5 == 2:
            label[:] = draw.choice([0, 1, 255])
        yield heat, label


@pytest.mark.parametrize("seed", range(12))
def test_counting_into_spanned_bins_equals_sorting(seed, monkeypatch):
    monkeypatch.setattr("oddroad.metrics.slots.CHUNK", 1000)
    monkeypatch.setattr("oddroad.metrics.slots.PIECE", 300)
    draw = np.random.default_rng(seed)
    bins = int(draw.choice([64, 256, 1000]))
    monkeypatch.setattr("oddroad.metrics.slots.NARROW", 1 << 16 if seed % 2 else bins)
    one, parts = PixelMetric(bins), []
    for heat, label in frames_of_all_kinds(draw, 9):
        one.add(heat, label)
        parts.append(PixelMetric(bins))
        parts[-1].add(heat, label)  # alone, so that it is sorted
    merged = PixelMetric(bins)
    for part in draw.permutation(np.array(parts, object)):
        merged.merge(part)
    one.settle()
    assert (one.shift, one.apart) == (merged.shift, merged.apart)
    assert one.shift > 0
    for name in ("lowest", "highest", "counts", "ties", "tie_counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(merged, name), err_msg=name)
    assert one.result() == merged.result()
    assert np.isfinite(one.quantiles([0.01, 0.5, 0.99])[1])
    assert not np.isnan(one.quantiles([0.0, 0.5, 1.0])).any()
