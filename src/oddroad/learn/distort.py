"""Colour, sharpness, noise and JPEG distortions of a batch of images, by tensor operations, each with a probability."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of ITU-R BT.601."""

LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""Quantisation of luma at quality 50: table K.1 of ITU-T T.81, row by row."""

CHROMA = (17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99)
"""Corner of the quantisation of chroma at quality 50; 99 elsewhere: table K.2 of ITU-T T.81."""


def distort(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Distort a batch: colour twice as often as blur, sharpening, noise, JPEG and gamma, which have the probability.

    Args:
        images: (N, 3, H, W) float32 in 0 to 255, H and W multiples of 8.
        probability: of each distortion.
        generator: of all choices, on the images' device.

    Returns:
        (N, 3, H, W) float32 in 0 to 255.
    """

    def uniform(low: float, high: float) -> Tensor:
        values = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
        return low + (high - low) * values

    def chosen(share: float) -> Tensor:
        return uniform(0, 1) < share

    toned = recoloured(images, uniform(0.6, 1.4), uniform(0.6, 1.4), uniform(0.5, 1.5), uniform(-0.25, 0.25))
    images = torch.where(chosen(min(2 * probability, 1)), toned, images)
    # one blur of two widths serves both: taken instead of the image it softens, its distance added it sharpens
    soft = chosen(probability)
    sharp = ~soft & chosen(probability)
    across, down = uniform(0.4, 2.0), uniform(0.4, 2.0)
    low = blurred(images, across, torch.where(chosen(0.5), across, down))
    images = images + (low - images) * torch.where(soft, 1.0, torch.where(sharp, -uniform(0.3, 2.0), 0.0))
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    images = images + noise * torch.where(chosen(probability), uniform(2.5, 25), 0.0)
    images = images.clamp(0, 255)
    images = torch.where(chosen(probability), recompressed(images, uniform(40, 95)), images)
    gamma = torch.where(chosen(probability), uniform(0.6, 1.5), 1.0)
    return (images.clamp(1e-3, 255) / 255).pow(gamma) * 255


def recoloured(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, turn: Tensor) -> Tensor:
    """Brightness, contrast and saturation by factors, the hue turned by an angle in radians; (N, 1, 1, 1) each."""
    grey = (images * images.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
    level = grey.mean((2, 3), keepdim=True)
    colour = images - grey
    # a rotation of the colour differences about the grey axis
    red, green, blue = colour.unbind(1)
    side = torch.stack([blue - green, red - blue, green - red], 1) / 3**0.5
    colour = colour * turn.cos() + side * turn.sin()
    return (brightness * (level + contrast * (grey + saturation * colour - level))).clamp(0, 255)


def blurred(images: Tensor, across: Tensor, down: Tensor, reach: int = 5) -> Tensor:
    """Gaussian blur, a deviation in pixels for each image and direction, (N, 1, 1, 1) each, up to ``reach`` pixels."""
    for axis, sigma in ((3, across), (2, down)):
        offsets = range(-reach, reach + 1)
        weights = torch.cat([(-0.5 * (at / sigma) ** 2).exp() for at in offsets], 1)
        weights = weights / weights.sum(1, keepdim=True)
        edges = (reach, reach, 0, 0) if axis == 3 else (0, 0, reach, reach)
        padded = F.pad(images, edges, mode="reflect")
        total = torch.zeros_like(images)
        for number in range(2 * reach + 1):
            total += weights[:, number : number + 1] * padded.narrow(axis, number, images.shape[axis])
        images = total
    return images


@functools.cache
def cosines() -> np.ndarray:
    """(8, 8) float32, the orthonormal discrete cosine transform: row k is the k-th cosine."""
    at = np.arange(8)
    table = np.cos((2 * at[None] + 1) * at[:, None] * np.pi / 16) / 2
    table[0] /= np.sqrt(2)
    return table.astype(np.float32)


def recompressed(images: Tensor, quality: Tensor) -> Tensor:
    """What JPEG of a quality, 1 to 100, leaves of an image, chroma at full size; (N, 3, H, W), sides multiples of 8.

    Args:
        images: (N, 3, H, W) float32 in 0 to 255.
        quality: (N, 1, 1, 1), the scale of the Independent JPEG Group.
    """
    count, _, rows, columns = images.shape
    to_luma = images.new_tensor([GREY, (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)])
    planes = torch.einsum("ij,njhw->nihw", to_luma, images.round()).round()
    planes = planes - images.new_tensor([128, 0, 0]).view(1, 3, 1, 1)
    blocks = planes.view(count, 3, rows // 8, 8, columns // 8, 8)
    turn = torch.from_numpy(cosines()).to(images)
    found = torch.einsum("ab,ncybxd,ed->ncyaxe", turn, blocks, turn)
    chroma = torch.full((8, 8), 99.0)
    chroma[:4, :4] = torch.tensor(CHROMA, dtype=torch.float32)
    tables = torch.stack([torch.tensor(LUMA, dtype=torch.float32).view(8, 8), chroma, chroma]).to(images.device)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    steps = ((tables * scale.view(-1, 1, 1, 1) + 50) / 100).floor().clamp(1, 255)[:, :, None, :, None, :]
    found = (found / steps).round() * steps
    planes = torch.einsum("ab,ncyaxe,ed->ncybxd", turn, found, turn).reshape(planes.shape)
    planes = planes.round().clamp(-128, 127) + images.new_tensor([128, 0, 0]).view(1, 3, 1, 1)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(to_luma), planes).clamp(0, 255)
