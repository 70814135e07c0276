"""Semantic metrics against the golden file and scikit-learn."""

import numpy as np
import pytest
from golden import golden, needs_golden
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score

from oddroad import InputError
from oddroad.metrics import SemanticMetric


@needs_golden
def test_golden():
    wanted = golden("metrics_miou.npz")
    metric = SemanticMetric(19)
    for labels, predictions in zip(wanted["labels"], wanted["predictions"], strict=True):
        part = SemanticMetric(19)
        part.add(predictions, labels)
        metric.merge(part)
    np.testing.assert_array_equal(metric.confusion, wanted["confusion"])
    np.testing.assert_allclose(metric.iou(), wanted["iou_per_class"], atol=1e-9)
    assert metric.result()["miou"] == pytest.approx(float(wanted["miou_present_classes"]), abs=1e-9)
    assert metric.result()["accuracy"] == pytest.approx(float(wanted["pixel_accuracy"]), abs=1e-9)


@given(st.integers(0, 1000))
def test_equals_scikit_learn(seed):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 5, (6, 7)).astype(np.uint8)
    predictions = draw.integers(0, 5, (6, 7)).astype(np.uint8)
    metric = SemanticMetric(5)
    metric.add(predictions, labels)
    flat = labels.ravel(), predictions.ravel()
    np.testing.assert_array_equal(metric.confusion, confusion_matrix(*flat, labels=range(5)))
    present = np.union1d(*flat)
    assert metric.result()["miou"] == pytest.approx(jaccard_score(*flat, labels=present, average="macro"))


@given(st.integers(0, 1000))
def test_calibration_error_is_its_definition(seed):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, (9, 11)).astype(np.uint8)
    labels[0, 0] = 255
    predictions = draw.integers(0, 3, (9, 11)).astype(np.uint8)
    sure = draw.choice(np.r_[draw.random(5), 0, 1, 1 / 15, 7 / 15], (9, 11))
    metric = SemanticMetric(3)
    metric.add(predictions[:4], labels[:4], sure[:4])
    other = SemanticMetric(3)
    other.add(predictions[4:], labels[4:], sure[4:])
    metric.merge(other)
    keep, error = labels != 255, 0.0
    for low in range(15):
        inside = keep & ((sure > low / 15) | ((low == 0) & (sure == 0))) & (sure <= (low + 1) / 15)
        if inside.any():
            gap = abs((predictions == labels)[inside].mean() - sure[inside].mean())
            error += gap * inside.sum() / keep.sum()
    assert metric.result()["ece"] == pytest.approx(error, abs=1e-12)
    assert sum(metric.reliability()["pixels"]) == keep.sum()


def test_without_confidence_there_is_no_calibration_error():
    metric = SemanticMetric(2)
    metric.add(np.uint8([[0]]), np.uint8([[0]]))
    assert np.isnan(metric.result()["ece"])


@pytest.mark.parametrize(
    ("predictions", "labels", "confidence", "message"),
    [
        ([[2]], [[0]], None, "prediction of frame 'f' holds class 2; expected 0 to 1"),
        ([[0]], [[254]], None, "label of frame 'f' holds class 254"),
        ([[0, 1]], [[0]], None, r"shape \(1, 2\) and its label \(1, 1\)"),
        ([[0]], [[0]], [[1.5]], "not between 0 and 1"),
        ([[0]], [[0]], [[np.nan]], "not between 0 and 1"),
        ([[0]], [[0]], [[0.5, 0.5]], r"confidence of frame 'f' has shape \(1, 2\)"),
    ],
)
def test_bad_frames_are_named(predictions, labels, confidence, message):
    confidence = None if confidence is None else np.float32(confidence)
    with pytest.raises(InputError, match=message):
        SemanticMetric(2).add(np.uint8(predictions), np.uint8(labels), confidence, "f")
