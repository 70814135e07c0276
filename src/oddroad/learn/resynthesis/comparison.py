"""The network that compares image and synthesis, level by level of their features, and says where they disagree.

Sources: the discrepancy network of Lis, Nakka, Fua, Salzmann, "Detecting the Unexpected via Image Resynthesis", ICCV
2019, and the spatial-aware dissimilarity network of Di Biase et al., "Pixel-wise Anomaly Detection in Complex Driving
Scenes", CVPR 2021, which adds uncertainty maps and a decoder normalised by the class map (SPADE). Narrower than both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.resynthesis.generator import Spade
from oddroad.learn.tensor_ops import resize


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """Cosine similarity (N, 1, h, w) of two feature maps (N, D, h, w), in [-1, 1]; 0 where one of them is 0."""
    product = (one * other).sum(1, keepdim=True)
    lengths = (one * one).sum(1, keepdim=True) * (other * other).sum(1, keepdim=True)
    return product / lengths.clamp(min=1e-30).sqrt()


class Level(nn.Module):
    """Joins what is known at one stride: features of both images, their similarity, classes, uncertainty, coarser.

    Args:
        features: channels of the features of one image.
        classes: channels of the class map.
        uncertainty: number of uncertainty maps; 0 for none.
        coarser: channels of what comes from the level below; 0 at the coarsest.
        width: channels out.
        spatial: normalise by the class map instead of plain batch norm.
    """

    def __init__(self, features: int, classes: int, uncertainty: int, coarser: int, width: int, spatial: bool):
        super().__init__()
        self.of_classes = nn.Conv2d(classes, width // 2, 3, 1, 1)
        self.join = nn.Conv2d(2 * features + 1 + width // 2, width, 1, bias=False)
        self.join_norm = nn.BatchNorm2d(width)
        self.of_uncertainty = nn.Conv2d(uncertainty, width, 3, 1, 1) if uncertainty else None
        self.mix = nn.Conv2d(width + coarser, width, 3, 1, 1, bias=False)
        self.spade = Spade(width, classes, 16) if spatial else None
        self.norm = None if spatial else nn.BatchNorm2d(width)

    def forward(
        self, image: Tensor, synthesis: Tensor, classes: Tensor, uncertainty: Tensor | None, coarser: Tensor | None
    ) -> Tensor:
        """Maps of one stride (N, D, h, w), and of the next coarser one -> (N, width, h, w)."""
        named = torch.relu(self.of_classes(classes))
        x = self.join(torch.cat((image, synthesis, similarity(image, synthesis), named), 1))
        x = torch.relu(self.join_norm(x))
        if self.of_uncertainty is not None and uncertainty is not None:
            x = x * (1 + torch.relu(self.of_uncertainty(uncertainty)))  # the published pointwise correlation
        if coarser is not None:
            x = torch.cat((x, F.interpolate(coarser, scale_factor=2, mode="nearest")), 1)
        x = self.mix(x)
        if self.spade is not None:
            return torch.relu(self.spade(x, classes))
        assert self.norm is not None
        return torch.relu(self.norm(x))


class Comparison(nn.Module):
    """From the features of an image and of its synthesis to a logit: the log-odds of "they disagree".

    Args:
        strides: of the features, finest first, each twice the one before.
        channels: of the features.
        classes: channels of the class map.
        uncertainty: number of uncertainty maps that are read too; 0 for none.
        spatial: normalise the decoder by the class map.
        width: channels of every level.
        per_class: also predict one number for each class of the whole image.
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: Sequence[int],
        classes: int,
        uncertainty: int = 0,
        spatial: bool = False,
        width: int = 32,
        per_class: bool = False,
    ):
        super().__init__()
        self.strides = tuple(strides)
        last = len(strides) - 1
        self.levels = nn.ModuleList(
            Level(features, classes, uncertainty, width if number < last else 0, width, spatial)
            for number, features in enumerate(channels)
        )
        self.verdict = nn.Conv2d(width, 1, 3, 1, 1)
        self.per_class = nn.Linear(width, classes) if per_class else None

    def forward(
        self,
        image: Sequence[Tensor],
        synthesis: Sequence[Tensor],
        classes: Tensor,
        uncertainty: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The logit (N, H, W), and (N, C) in [0, 1] for each class or None.

        Args:
            image: features of the image, finest first.
            synthesis: those of the synthesis.
            classes: class map (N, C, H, W), the shares of the classes.
            uncertainty: (N, U, H, W) uncertainty maps.
        """
        x: Tensor | None = None
        whole: Tensor | None = None
        for number in reversed(range(len(self.levels))):
            stride = self.strides[number]
            x = joined = self.levels[number](
                image[number],
                synthesis[number],
                F.avg_pool2d(classes, stride),
                None if uncertainty is None else F.avg_pool2d(uncertainty, stride),
                x,
            )
            if whole is None and self.per_class is not None:
                whole = torch.sigmoid(self.per_class(joined.mean((2, 3))))
        assert x is not None
        logit = resize(self.verdict(x), (classes.shape[-2], classes.shape[-1]))
        return logit[:, 0], whole
