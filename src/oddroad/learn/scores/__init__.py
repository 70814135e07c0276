"""SCORES: the table of scores, each ``Outputs -> (N, h, w)``, higher is stranger."""

from __future__ import annotations

from oddroad.learn.detector import Score
from oddroad.learn.scores.logits import dense_hybrid, energy, joint, max_logit, msp, outlier_head

SCORES: dict[str, Score] = {
    "msp": msp,
    "max_logit": max_logit,
    "energy": energy,
    "outlier_head": outlier_head,
    "dense_hybrid": dense_hybrid,
    "joint": joint,
}
