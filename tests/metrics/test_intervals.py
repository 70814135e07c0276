"""Intervals cover what they state on a law that is known; sequences count as one; the paired test has its level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from oddroad.metrics import ComponentMetric, ExactPixelMetric, PixelMetric
from oddroad.metrics.component import COMPONENT_FIGURES
from oddroad.metrics.intervals import (
    COARSE,
    FIGURES,
    LEAST_FREEDOM,
    LeftOut,
    degrees_of_freedom,
    interval,
    leave_one_out,
    leave_one_out_counts,
    paired_difference,
    spread,
    why_none,
)

Frame = tuple[np.ndarray, np.ndarray]


def scenes(count: int, decimals: int, pixels: int = 400, seed: int = 3) -> list[Frame]:
    """Scores and labels (1, P) of frames whose difficulty differs; a tenth of each frame shares one score."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        labels = (draw.random((1, pixels)) < draw.uniform(0.02, 0.3)).astype(np.uint8)
        scores = draw.normal(size=labels.shape) + draw.uniform(0, 3) * labels
        scores[:, : pixels // 10] = number % 2 - 0.5
        made.append((scores.astype(np.float32).round(decimals), labels))
    return made


def counted(frames: list[Frame], bins: int = COARSE) -> list[PixelMetric]:
    """The counts of each frame."""
    found = []
    for frame in frames:
        found.append(PixelMetric(bins))
        found[-1].add(*frame)
        found[-1].settle()
    return found


def pooled(frames: list[Frame]) -> dict[str, float]:
    """The figures of the pixels of all frames."""
    metric = ExactPixelMetric()
    for frame in frames:
        metric.add(*frame)
    return metric.result()


def names(frames: list) -> list[str]:
    return [str(number) for number in range(len(frames))]


def test_left_out_figures_are_those_of_the_other_frames():
    frames = scenes(7, 1)
    found = leave_one_out(counted(frames), names(frames))
    assert found.units == tuple(names(frames))
    assert found.steps["ap"] == 1 / sum(labels.size for _, labels in frames)
    for at in range(7):
        rest = pooled(frames[:at] + frames[at + 1 :])
        for figure in FIGURES:
            assert found.figures[figure][at] == pytest.approx(rest[figure], abs=1e-12), figure
    sizes = np.array([[(labels == kind).sum() for kind in (0, 1)] for _, labels in frames])
    assert found.degrees["fpr95"] == pytest.approx(min(degrees_of_freedom(each) for each in sizes.T))


def test_frames_of_one_sequence_are_left_out_together():
    frames = scenes(6, 1)
    found = leave_one_out(counted(frames), ["a", "b", "a", "c", "b", "a"])
    assert found.units == ("a", "b", "c")
    kept = [[1, 3, 4], [0, 2, 3, 5], [0, 1, 2, 4, 5]]
    assert found.figures["ap"] == pytest.approx([pooled([frames[at] for at in each])["ap"] for each in kept])
    assert found.degrees["ap"] <= 2


def test_close_where_the_bins_are_few_and_differ_between_frames():
    frames = [*scenes(3, 1, 4000), *((scores + 0.01, labels) for scores, labels in scenes(3, 7, 4000))]
    counts = counted(frames, 256)
    assert len({each.shift for each in counts}) > 1
    found = leave_one_out(counts, names(frames))
    for at in range(6):
        assert found.figures["ap"][at] == pytest.approx(pooled(frames[:at] + frames[at + 1 :])["ap"], abs=0.01)


def test_values_apart_in_a_frame_but_not_in_the_whole(monkeypatch):
    monkeypatch.setattr("oddroad.metrics.pixel.TIES", 10)
    frames = []
    for number, (scores, labels) in enumerate(scenes(6, 1)):
        scores[:, ::3] = 0.25 * (number // 2) + 100 * number
        frames.append((scores, labels))
    counts = counted(frames)
    monkeypatch.setattr("oddroad.metrics.pixel.TIES", 2)
    found = leave_one_out(counts, names(frames))
    for at in range(6):
        assert found.figures["ap"][at] == pytest.approx(pooled(frames[:at] + frames[at + 1 :])["ap"], abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_degrees_of_freedom_are_satterthwaites(seed):
    """Of the jackknife variance of a weighted mean, from the covariance of the deviations."""
    sizes = np.random.default_rng(seed).lognormal(0, 1.2, 12)
    weight = sizes / sizes.sum()
    deviations = np.eye(12) - weight  # rows: value i less the weighted mean
    squared = np.diag(weight / (1 - weight)) @ deviations @ deviations.T @ np.diag(weight / (1 - weight))
    assert degrees_of_freedom(sizes) == pytest.approx(np.trace(squared) ** 2 / (squared**2).sum())


def test_degrees_of_freedom_of_equal_sizes_and_of_one_that_outweighs_all():
    assert degrees_of_freedom(np.full(10, 7)) == pytest.approx(9)
    assert degrees_of_freedom(np.array([10**9, 1, 1, 1])) == pytest.approx(1, abs=1e-3)
    sizes = np.array([0.9989, 0.0006, 0.0005])
    weight = sizes / sizes.sum()
    squared = np.diag(weight / (1 - weight)) @ (np.eye(3) - weight)
    squared = squared @ squared.T
    assert degrees_of_freedom(sizes) == pytest.approx(np.trace(squared) ** 2 / (squared**2).sum())
    assert degrees_of_freedom(np.array([5, 0, 0])) == 0
    assert degrees_of_freedom(np.zeros(3)) == 0


def left_out(values: np.ndarray, degrees: float, figure: str = "ap", pixels: int = 1000) -> LeftOut:
    names = tuple(map(str, range(len(values))))
    return LeftOut(names, {figure: np.asarray(values, float)}, {figure: degrees}, {figure: 1 / pixels})


def test_the_interval_is_students_on_the_logit():
    values = np.array([0.55, 0.6, 0.65, 0.62])
    logits = np.log(values / (1 - values))
    error = np.sqrt(3 / 4 * ((logits - logits.mean()) ** 2).sum())
    low, high = interval(0.6, left_out(values, 2.4), "ap", 0.9)
    middle, half = np.log(0.6 / 0.4), student.ppf(0.95, 2.4) * error
    assert (low, high) == pytest.approx(tuple(1 / (1 + np.exp(-middle - end)) for end in (-half, half)))
    assert interval(0.6, left_out(values, 1), "ap") == interval(0.6, left_out(values, LEAST_FREEDOM), "ap")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.5], "there is one image or sequence only"),
        ([0.5, np.nan, 0.5], "all anomalies, all predictions or all other pixels are in one image or sequence"),
        ([1.0, 1.0, 1.0], "it is the same whichever image is left out"),
    ],
)
def test_where_nothing_can_be_said_there_is_none_and_a_word(values, reason):
    found = left_out(np.array(values), 2)
    assert np.isnan(interval(0.5, found, "ap")).all()
    assert why_none(found, "ap").startswith(reason)


def test_degenerate_sets_give_no_warning():
    one = counted(scenes(1, 1))
    assert np.isnan(interval(0.5, leave_one_out(one, ["a"]), "ap")).all()
    none = counted([(scores, np.zeros_like(labels)) for scores, labels in scenes(3, 1)])
    assert np.isnan(interval(float("nan"), leave_one_out(none, names(none)), "ap")).all()
    perfect = [(labels.astype(np.float32), labels) for _, labels in scenes(4, 1)]
    found = leave_one_out(counted(perfect), names(perfect))
    assert np.isnan(interval(1.0, found, "ap")).all()
    assert np.isnan(interval(0.0, found, "fpr95")).all()
    perfect[0][0][0, np.flatnonzero(perfect[0][1][0])[:-1]] = -1  # one frame misses what it shall find
    found = leave_one_out(counted(perfect), names(perfect))
    low, high = interval(pooled(perfect)["ap"], found, "ap")
    assert 0 <= low < pooled(perfect)["ap"] < high <= 1
    assert interval(1.0, left_out(np.array([1, 1, 0.9]), 2), "ap")[1] <= 1


def law(rng: np.random.Generator, count: int, level: np.ndarray | float = 2.0) -> list[Frame]:
    """Frames whose anomalies differ in size and in how high they score."""
    frames = []
    sizes = np.minimum(rng.lognormal(3, 1, count), 300).astype(int) + 1
    levels = rng.normal(level, 0.7, count)
    for size, high in zip(sizes, levels, strict=True):
        labels = (np.arange(1500) < size)[None].astype(np.uint8)
        frames.append(((rng.normal(size=labels.shape) + high * labels).astype(np.float32).round(1), labels))
    return frames


def test_ten_images_of_a_known_law_are_covered():
    """95 % of 120 intervals are 114; at least 107 where the truth is that, in 99 of 100 runs; the seed is fixed."""
    truth = pooled(law(np.random.default_rng(1), 4000))
    rng, covered, plain = np.random.default_rng(2), dict.fromkeys(("ap", "fpr95"), 0), 0
    for _ in range(120):
        frames = law(rng, 10)
        found, own = leave_one_out(counted(frames), names(frames)), pooled(frames)
        for figure in covered:
            low, high = interval(own[figure], found, figure)
            covered[figure] += low <= truth[figure] <= high
        error = spread(found.figures["ap"])
        plain += abs(own["ap"] - truth["ap"]) <= 1.96 * error
    assert min(covered.values()) >= 107
    assert plain < 107  # what the normal distribution covers


def test_frames_of_one_drive_as_images_would_not_be_covered():
    rng, wide, narrow = np.random.default_rng(5), [], []
    for _ in range(5):
        frames = [each for each in law(rng, 6) for _ in range(5)]
        value = pooled(frames)["ap"]
        units = np.repeat(np.arange(6), 5).astype(str).tolist()
        counts = counted(frames)
        wide.append(np.ptp(interval(value, leave_one_out(counts, units), "ap")))
        narrow.append(np.ptp(interval(value, leave_one_out(counts, names(frames)), "ap")))
    assert np.median(wide) > 2 * np.median(narrow)


def test_the_paired_test_tells_a_better_detector_and_its_sign():
    rng = np.random.default_rng(7)
    frames = law(rng, 20)
    worse = [(scores - 0.8 * labels, labels) for scores, labels in frames]
    both = tuple(leave_one_out(counted(each), names(each)) for each in (frames, worse))
    values = pooled(frames)["ap"], pooled(worse)["ap"]
    found = paired_difference(values, both, "ap")
    assert found.difference == pytest.approx(values[0] - values[1])
    assert 0 < found.low < found.difference < found.high
    assert found.p < 0.02
    turned = paired_difference(values[::-1], both[::-1], "ap")
    assert (turned.low, turned.high, turned.p) == pytest.approx((-found.high, -found.low, found.p))
    alone = [interval(value, each, "ap") for value, each in zip(values, both, strict=True)]
    assert alone[0][0] < alone[1][1]  # the two intervals overlap: only the pairing tells them apart


def test_the_paired_test_holds_its_level():
    """Two detectors of one law: at most 11 of 100 are below 0.05 in 99 of 100 runs; the seed is fixed."""
    rng, below = np.random.default_rng(11), 0
    for _ in range(100):
        one = law(rng, 10)
        again = [rng.normal(size=labels.shape) + rng.normal(2, 0.7) * labels for _, labels in one]
        other = [(scores.astype(np.float32).round(1), labels) for scores, (_, labels) in zip(again, one, strict=True)]
        lost = leave_one_out(counted(one), names(one)), leave_one_out(counted(other), names(other))
        below += paired_difference((pooled(one)["ap"], pooled(other)["ap"]), lost, "ap").p < 0.05
    assert below <= 11


def test_the_difference_of_a_detector_and_itself_is_none():
    frames = scenes(5, 1)
    found = leave_one_out(counted(frames), names(frames))
    same = paired_difference((0.5, 0.5), (found, found), "ap")
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    with pytest.raises(ValueError, match="other images"):
        paired_difference((0.5, 0.5), (found, left_out(np.ones(4), 3)), "ap")


def test_components_are_left_out_like_pixels():
    draw = np.random.default_rng(0)
    frames = []
    for _ in range(6):
        label = np.kron(draw.random((6, 8)) < 0.2, np.ones((4, 4))).astype(np.uint8)
        frames.append((draw.normal(size=label.shape) + 2.5 * label, label))

    def judged(chosen: list[int]) -> ComponentMetric:
        metric = ComponentMetric(1.5, 1, 1)
        for at in chosen:
            metric.add(*frames[at])
        return metric

    parts = [judged([at]) for at in range(6)]
    before = [each.result() for each in parts]
    found = leave_one_out_counts(parts, ["a", "a", "b", "c", "c", "d"])
    assert [each.result() for each in parts] == before
    for at, rest in enumerate(([2, 3, 4, 5], [0, 1, 3, 4, 5], [0, 1, 2, 5], [0, 1, 2, 3, 4])):
        for figure in COMPONENT_FIGURES:
            assert found.figures[figure][at] == pytest.approx(judged(rest).result()[figure]), figure
    for figure, number in (("siou", "components"), ("ppv", "predicted_components")):
        sizes = [each[number] for each in before]
        of_units = np.array([sizes[0] + sizes[1], sizes[2], sizes[3] + sizes[4], sizes[5]])
        assert found.degrees[figure] == pytest.approx(degrees_of_freedom(of_units))
    assert found.degrees["f1_star"] == min(found.degrees["siou"], found.degrees["ppv"])


def test_what_differs_by_rounding_alone_is_the_same():
    found = left_out(np.array([0.98888889, 0.98888889, 0.98888889 - 2e-16]), 2, "ppv")
    assert np.isnan(interval(0.98888889, found, "ppv")).all()
    shifted = left_out(found.figures["ppv"] + np.array([1e-16, 0, 0]), 2, "ppv")
    assert paired_difference((0.5, 0.5), (found, shifted), "ppv").p == 1
    assert np.isnan(paired_difference((0.6, 0.5), (found, shifted), "ppv").p)
    alone = left_out(np.array([0.0, 0.5, 0.4]), 0, "ppv")
    assert why_none(alone, "ppv").startswith("all anomalies, all predictions")
    assert np.isnan(paired_difference((0.6, 0.5), (alone, found), "ppv").p)
