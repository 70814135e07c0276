"""Photometric augmentation: colour, blur, sharpness, noise, JPEG, gamma."""

from __future__ import annotations

import warnings


def distortions(probability: float):
    """Colour, blur, sharpness, noise and JPEG distortions of an RGB image, each with a probability."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations as A

        return A.Compose(
            [
                A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.5, 1.5), (-0.04, 0.04), p=min(2 * probability, 1)),
                A.OneOf([A.GaussianBlur((3, 7)), A.MotionBlur((3, 7)), A.Downscale((0.4, 0.9))], p=probability),
                A.Sharpen((0.2, 0.9), p=probability),
                A.GaussNoise((0.01, 0.1), p=probability),
                A.ImageCompression(quality_range=(40, 95), p=probability),
                A.RandomGamma((60, 150), p=probability),
            ]
        )
