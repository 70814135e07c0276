"""Frames check themselves; look-ups explain themselves."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.errors import InputError, pick
from oddroad.types import Frame


class TestTypes:
    @pytest.mark.parametrize(
        ("image", "label", "message"),
        [
            (np.zeros((4, 4), np.uint8), None, r"expected \(height, width, 3\) uint8"),
            (np.zeros((4, 4, 3), np.float32), None, r"type float32; expected"),
            (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8), r"label .* has shape \(5, 4\)"),
        ],
    )
    def test_a_frame_checks_itself(self, image: np.ndarray, label: np.ndarray | None, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Frame(image, "x", label=label)

    def test_pick_explains(self) -> None:
        with pytest.raises(
            InputError, match=r"no network called 'erfnt'; did you mean 'erfnet'\? There are: erfnet, enet"
        ):
            pick({"erfnet": 1, "enet": 2}, "erfnt", "network")
