"""Figures of pixels from counts at falling scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """Counts at each score where anomaly pixels are found, from the highest down.

    Attributes:
        thresholds: (K,) float32; a pixel is predicted where ``score > threshold``.
        found: (K,) anomaly pixels predicted.
        false: (K,) in-distribution pixels predicted.
        step: (K,) anomaly pixels that this threshold adds.
        level: (K,) in-distribution pixels with the same score as those, or in the same bin.
        mixed: (K,) whether this is a bin of several scores, whose order inside is not known.
        best: (K,) highest precision possible at any of the added anomaly pixels.
        worst: (K,) lowest one.
        slack: (K,) in-distribution pixels whose order to these is not known.
        positives: all anomaly pixels.
        negatives: all in-distribution pixels.
    """

    thresholds: np.ndarray
    found: np.ndarray
    false: np.ndarray
    step: np.ndarray
    level: np.ndarray
    mixed: np.ndarray
    best: np.ndarray
    worst: np.ndarray
    slack: np.ndarray
    positives: int
    negatives: int

    def result(self) -> dict[str, float]:
        """Figures as fractions; NaN where a class of pixels is absent.

        Returns:
            ``ap`` average precision as the sum of steps over distinct scores (scikit-learn's), ``auroc`` trapezoid,
            ``fpr95`` at the first threshold with at least 95 % of the anomaly pixels found, ``ap_error`` and
            ``fpr95_error`` proven bounds of their errors (0 where exact), ``f1`` the best, ``threshold`` its
            ``score > threshold``, ``prevalence``, ``pixels``, ``anomaly_pixels``.
        """
        total = self.positives + self.negatives
        figures = {
            "prevalence": self.positives / total if total else float("nan"),
            "pixels": float(total),
            "anomaly_pixels": float(self.positives),
        }
        if not self.positives or not self.negatives:
            missing = ("ap", "ap_error", "auroc", "fpr95", "fpr95_error", "f1", "threshold")
            return {**dict.fromkeys(missing, float("nan")), **figures}
        ap, ap_error = self._ap()
        fpr95, fpr95_error = self._fpr(0.95)
        below = self.negatives - self.false + self.level / 2
        f1 = 2 * self.found / (self.found + self.false + self.positives)
        return {
            "ap": ap,
            "ap_error": ap_error,
            "auroc": float((self.step * below).sum() / self.positives / self.negatives),
            "fpr95": fpr95,
            "fpr95_error": fpr95_error,
            "f1": float(f1.max()),
            "threshold": float(self.thresholds[f1.argmax()]),
            **figures,
        }

    def curve(self, points: int = 400) -> dict[str, list[float]]:
        """Points of the precision-recall and ROC curves, thinned to at most ``points``: recall, precision, fpr."""
        if not self.positives or not self.negatives:
            return {"recall": [], "precision": [], "fpr": []}
        recall, fpr = self.found / self.positives, self.false / self.negatives
        even = np.searchsorted(recall, np.linspace(0, 1, points // 2))
        fine = np.searchsorted(fpr, np.geomspace(1 / self.negatives, 1, points // 2))
        pick = np.unique(np.concatenate([even, fine]).clip(0, len(recall) - 1))
        precision = self.found[pick] / (self.found[pick] + self.false[pick])
        return {"recall": recall[pick].tolist(), "precision": precision.tolist(), "fpr": fpr[pick].tolist()}

    def _ap(self) -> tuple[float, float]:
        """AP and a bound of its error; in a mixed bin the mean precision while both kinds arrive evenly."""
        precision = self.found / (self.found + self.false)
        step, level = (each[self.mixed].astype(float) for each in (self.step, self.level))
        before, false_before = self.found[self.mixed] - step, self.false[self.mixed] - level
        share, start = step / (step + level), before + false_before + 0.5
        mean = share + (before + 0.5 - start * share) / (step + level) * np.log1p((step + level) / start)
        precision[self.mixed] = mean.clip(self.worst[self.mixed], self.best[self.mixed])
        ap, best, worst = (
            float((self.step * each).sum() / self.positives) for each in (precision, self.best, self.worst)
        )
        return ap, max(best - ap, ap - worst, 0.0)

    def _fpr(self, share: float) -> tuple[float, float]:
        """FPR at the first threshold that finds this share, and a bound of its error."""
        at = int(np.argmax(self.found / self.positives >= share))
        false, slack = float(self.false[at]), float(self.slack[at])
        if self.mixed[at]:
            before = int(self.found[at]) - int(self.step[at])
            passed = min(max((share * self.positives - before) / (int(self.step[at]) + 1), 0.0), 1.0)
            false -= int(self.level[at]) * (1 - passed)
        return false / self.negatives, slack / self.negatives
