"""SCORES: the table of scores, each ``Outputs -> (N, h, w)``, higher means more anomalous."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oddroad.learn.outputs import Score
from oddroad.learn.scores.density import EmbeddingDensity
from oddroad.learn.scores.distance import Mahalanobis
from oddroad.learn.scores.logits import (
    dense_hybrid,
    energy,
    entropy,
    failure,
    gambler,
    joint,
    max_logit,
    min_distance,
    msp,
    mutual_information,
    outlier_head,
    pebal,
    resynthesis,
    void,
)
from oddroad.learn.scores.masks import INFERENCE, eam, mask2anomaly, rba, uno
from oddroad.learn.scores.sml import StandardizedMaxLogit

SCORES: dict[str, Score] = {
    "msp": msp,
    "max_logit": max_logit,
    "entropy": entropy,
    "energy": energy,
    "pebal": pebal,
    "void": void,
    "gambler": gambler,
    "min_distance": min_distance,
    "mutual_information": mutual_information,
    "outlier_head": outlier_head,
    "dense_hybrid": dense_hybrid,
    "joint": joint,
    "resynthesis": resynthesis,
    "failure": failure,
    "mask2anomaly": mask2anomaly,
    "rba": rba,
    "eam": eam,
    "uno": uno,
    **INFERENCE,
}
"""Scores that need no fit."""

FITTED: dict[str, Callable[..., Any]] = {
    "sml": StandardizedMaxLogit,
    "mahalanobis": Mahalanobis,
    "embedding_density": EmbeddingDensity,
}
"""Scores fitted on in-distribution scenes: modules with ``build(outputs, stride)``, ``add``, ``finish`` and ``fit``.

Their buffers and parameters are the fitted state, ``arguments`` is what they were made with.
"""
