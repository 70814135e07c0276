"""The mean IoU of the training log is the one of ``oddroad evaluate``."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from oddroad.learn.outputs import Outputs
from oddroad.learn.training.module import Training
from oddroad.metrics import SemanticMetric
from oddroad.recipe import Network, Recipe
from oddroad.types import GROUPS, IGNORE, OUTLIER, UNNAMED


def test_the_logged_mean_iou_is_that_of_the_semantic_metric(monkeypatch):
    training = Training(Recipe(network=Network(outlier=False, auxiliary=False)))
    monkeypatch.setattr(Training, "trainer", property(lambda self: SimpleNamespace(world_size=1)))
    logged = {}
    monkeypatch.setattr(training, "log", lambda name, value, **more: logged.update({name: value}))
    monkeypatch.setattr(training, "log_dict", lambda values, **more: logged.update(values))
    draw, stride = np.random.default_rng(0), int(training.network.stride)
    labels = draw.choice([0, 1, 2, IGNORE, OUTLIER, UNNAMED, *GROUPS], (2, 8 * stride, 8 * stride)).astype(np.int64)
    logits = torch.from_numpy(draw.normal(size=(2, 19, 8, 8))).float()  # predicts classes that no label holds
    logits[:, 0] += 2
    monkeypatch.setattr(training, "forward", lambda images: Outputs(logits))
    training.on_validation_epoch_start()
    training.validation_step((torch.zeros(2, 3, 8, 8), torch.from_numpy(labels)), 0)
    training.on_validation_epoch_end()
    metric = SemanticMetric(19)
    seen = labels[:, stride // 2 :: stride, stride // 2 :: stride]
    metric.add(logits.argmax(1).numpy(), np.where(seen < 19, seen, IGNORE))
    assert logged["miou"] == pytest.approx(metric.result()["miou"])
    assert 0 < logged["miou"] < 1
