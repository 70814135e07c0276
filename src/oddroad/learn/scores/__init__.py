"""SCORES: the table of scores, each ``Outputs -> (N, h, w)``, higher is stranger."""

from __future__ import annotations

from oddroad.learn.detector import Score
from oddroad.learn.scores.logits import (
    dense_hybrid,
    energy,
    entropy,
    gambler,
    joint,
    max_logit,
    min_distance,
    msp,
    mutual_information,
    outlier_head,
    pebal,
    void,
)

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
}
