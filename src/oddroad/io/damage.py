"""Pictures on which nothing was seen: of one colour, nearly black, or standing still to the bit."""

from __future__ import annotations

import numpy as np

EVERY = 4
"""Every fourth pixel of every fourth row is looked at."""


CONSTANT = 2
"""Levels between darkest and lightest value of each channel up to which a picture is of one colour. The noise of a
camera alone is more; decoders that decode nothing give one value."""


DARK = 16
"""A picture of which 999 of 1000 looked-at values are below this is nearly black. On a road at night, headlights alone
are more than that."""


REPEATS, SECONDS = 5, 0.5
"""A picture is taken for frozen when it is the same to the bit for more than so many frames and so many seconds."""


def blank(image: np.ndarray) -> str:
    """Why an image (H, W, 3) uint8 shows nothing; empty if it may show something.

    >>> blank(np.full((8, 8, 3), 128, np.uint8)), blank(np.zeros((8, 8, 3), np.uint8))
    ('the picture is of one colour', 'the picture is nearly black')
    """
    height, width = image.shape[:2]
    few = image[:: height // 32 + 1, :: width // 32 + 1].reshape(-1, 3)
    if np.count_nonzero(few >= DARK) > few.size // 10 and np.ptp(few, 0).max() > CONSTANT:
        return ""  # nearly every picture; the sample below takes longer than decoding
    sample = image[::EVERY, ::EVERY].reshape(-1, 3)
    if np.count_nonzero(sample >= DARK) <= sample.size // 1000:
        return "the picture is nearly black"
    lowest, highest = sample.min(0), sample.max(0)
    return "the picture is of one colour" if (highest - lowest <= CONSTANT).all() else ""


class Frozen:
    """Notices a source that gives the same picture again and again, equal to the bit.

    A parked car is no such case: its camera has noise, and something moves at the edge. A video of 5 frames per second
    that is stored with 25 repeats each picture four times, which is why a few repeats are none. What counts is a
    picture that stays the same for both more than REPEATS frames and more than SECONDS. The pictures up to there have
    been judged, and their first one has been seen; those after it are damaged, until the picture changes.
    """

    def __init__(self) -> None:
        self.last: np.ndarray | None = None
        self.began: float = 0.0
        self.repeats = 0

    def __call__(self, image: np.ndarray, time: float) -> str:
        """Why the next picture (H, W, 3), shown at a time in seconds, is damaged; empty if it is not."""
        last = self.last
        same = (
            last is not None
            and last.shape == image.shape
            and np.array_equal(last[:: 8 * EVERY], image[:: 8 * EVERY])
            and np.array_equal(last, image)
        )
        if not same:
            self.last, self.began, self.repeats = image, time, 0
            return ""
        self.repeats += 1
        frozen = self.repeats > REPEATS and time - self.began > SECONDS
        return f"the same picture to the bit for {time - self.began:.1f} s" if frozen else ""
