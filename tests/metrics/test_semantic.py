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


def test_the_messages_say_what_to_do():
    metric, one = SemanticMetric(2), np.uint8([[0]])
    cases = [
        (
            (np.uint8([[0, 1]]), one),
            "the classes of frame '' have shape (1, 2) and its label (1, 1); bring them to the size of the label",
        ),
        (
            (one, np.uint8([[7]])),
            "the label of frame '' holds class 7; expected 0 to 1, or 255 in a label where it is not judged",
        ),
        ((one, one, np.float32([[-0.1]])), "the confidence of frame '' is not between 0 and 1 everywhere"),
        ((one, one, np.float32([[0.5, 0.5]])), "the confidence of frame '' has shape (1, 2); expected (1, 1)"),
    ]
    for given_arguments, message in cases:
        with pytest.raises(InputError) as caught:
            metric.add(*given_arguments)
        assert str(caught.value) == message
    with pytest.raises(InputError) as caught:
        metric.merge(SemanticMetric(3))
    assert str(caught.value) == "cannot merge counts of 2 and 3 classes"


def test_figures_worked_out_by_hand():
    metric = SemanticMetric(3)
    labels, predictions = np.uint8([[0, 0, 0, 1, 255]]), np.uint8([[0, 0, 1, 1, 2]])
    metric.add(predictions, labels, np.float32([[1.0, 0.5, 0.5, 0.0, 0.3]]))
    assert metric.iou()[:2].tolist() == [2 / 3, 1 / 2]
    assert np.isnan(metric.iou()[2])
    assert metric.result() == {
        "miou": pytest.approx(7 / 12), "accuracy": 0.75, "ece": pytest.approx((0 + 0 + 1) / 4), "pixels": 4.0,
    }  # fmt: skip
    found = metric.reliability()
    pixels, confidence, accuracy = [0] * 15, [0.0] * 15, [0.0] * 15
    pixels[0], pixels[7], pixels[14] = 1, 2, 1
    confidence[7], confidence[14] = 0.5, 1.0
    accuracy[0], accuracy[7], accuracy[14] = 1.0, 0.5, 1.0
    assert found == {"pixels": pixels, "confidence": confidence, "accuracy": accuracy}
    assert metric.confusion.dtype == np.int64


def test_a_confidence_that_rounding_lifted_above_one_is_one():
    metric, one = SemanticMetric(2), np.uint8([[0]])
    metric.add(one, one, np.float64([[1 + 1e-6]]))
    assert metric.reliability()["pixels"][14] == 1
    with pytest.raises(InputError):
        metric.add(one, one, np.float64([[1 + 2e-6]]))


def test_a_frame_of_which_nothing_is_judged_changes_nothing():
    metric = SemanticMetric(2)
    metric.add(np.uint8([[0]]), np.uint8([[255]]), np.float32([[0.5]]))
    found = metric.result()
    assert np.isnan([found["miou"], found["accuracy"], found["ece"]]).all()
    assert found["pixels"] == 0


def test_frames_add_up():
    metric, frames = SemanticMetric(2), [([[0, 1]], [[0, 0]]), ([[1, 1]], [[1, 0]])]
    for predictions, labels in frames:
        metric.add(np.uint8(predictions), np.uint8(labels), np.full((1, 2), 0.5, np.float32))
    assert metric.confusion.tolist() == [[1, 2], [0, 1]]
    assert metric.reliability()["pixels"][7] == 4
    assert metric.reliability()["accuracy"][7] == 0.5


def test_one_pixel_of_a_class_is_a_class():
    metric = SemanticMetric(2)
    metric.add(np.uint8([[1]]), np.uint8([[1]]))
    assert metric.iou()[1] == 1
    assert metric.result()["miou"] == 1
