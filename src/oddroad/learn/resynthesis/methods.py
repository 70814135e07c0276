"""Image Resynthesis, SynthCP and SynBoost: networks around a closed-set network.

Each keeps what the closed-set network says and adds its own verdict, ``Outputs.anomaly``, at the same stride. Image and
synthesis are compared at the generator's size, whatever the size of the image; the closed-set network sees the image at
its own size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from oddroad.errors import InputError
from oddroad.learn.detector import Preprocessing
from oddroad.learn.outputs import Outputs, split_void
from oddroad.learn.resynthesis.comparison import Comparison, similarity
from oddroad.learn.resynthesis.features import Features, perceptual_difference
from oddroad.learn.resynthesis.generator import COARSEST, Generator, shares, to_unit
from oddroad.learn.resynthesis.uncertainty import softmax_distance, softmax_entropy
from oddroad.learn.tensor_ops import resize

SHARPNESS = 10.0
"""Factor on the logits before the softmax that makes the class map."""

ENSEMBLE = (0.75, 0.25, 0.0, 0.0)
"""SynBoost's published weights of dissimilarity and entropy; the other two maps are not used."""


class Resynthesised(nn.Module):
    """What the three methods share: the closed-set network, the generator, the features, the comparison.

    Args:
        network: the closed-set network.
        features: what image and synthesis are compared in.
        classes: number of closed-set classes; a void output beyond them is split off.
        normalisation: of the images that come in, which is that of the closed-set network.
        size: (H, W) of the generator; sides are multiples of 32.
        width: of the generator.
        uncertainty: number of uncertainty maps that the comparison reads.
        spatial: whether the comparison's decoder is normalised by the class map.
        per_class: whether the comparison predicts a number for each class, too.

    Raises:
        InputError: if the size does not fit.
    """

    typical: Tensor
    usual_difference: Tensor
    reads_logits = True
    """Whether the verdict depends on the logits beside the class map."""

    def __init__(
        self,
        network: nn.Module,
        features: Features,
        classes: int = 19,
        normalisation: str = "imagenet",
        size: Sequence[int] = (128, 256),
        width: int = 16,
        uncertainty: int = 0,
        spatial: bool = False,
        per_class: bool = False,
    ):
        super().__init__()
        rows, columns = size
        if rows % (2 * COARSEST) or columns % (2 * COARSEST) or rows <= 0 or columns <= 0:
            raise InputError(f"resynthesis.size is {rows}x{columns}; expected multiples of {2 * COARSEST}")
        self.network, self.features, self.classes = network, features, classes
        self.size = (int(rows), int(columns))
        self.stride = int(network.stride)  # pyright: ignore[reportArgumentType]
        self.preprocessing = Preprocessing.parse(normalisation)
        self.generator = Generator(classes, width)
        self.comparison = Comparison(features.strides, features.channels, classes, uncertainty, spatial, 32, per_class)
        self.register_buffer("typical", torch.ones(len(features.channels)))
        self.register_buffer("usual_difference", torch.ones(()))

    def inner(self, images: Tensor) -> Outputs:
        """Outputs of the closed-set network, the void output split off."""
        return split_void(self.network(images), self.classes)

    def rgb(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> RGB in [0, 1] at the generator's size."""
        mean, std = (each.to(images.device) for each in self.preprocessing.constants())
        return resize(self.preprocessing.ordered(images * std + mean) / 255, self.size)

    def normalised(self, rgb: Tensor) -> Tensor:
        """RGB in [0, 1] -> as the closed-set network sees images."""
        return self.preprocessing.normalised(255 * rgb)

    def synthesis(self, classes: Tensor) -> Tensor:
        """Class map (N, C, H, W) at the generator's size -> RGB (N, 3, H, W) in [0, 1]."""
        return to_unit(self.generator(classes))

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) normalised -> the closed-set network's Outputs with ``anomaly``, and what else a method adds."""
        outputs = self.inner(images)
        return self.judged(self.rgb(images), shares(outputs.logits, self.size, SHARPNESS), outputs)

    def judged(self, rgb: Tensor, classes: Tensor, outputs: Outputs) -> Outputs:
        """The method's verdict on an image, given a class map: the one seen, or in training an altered one.

        Args:
            rgb: images (N, 3, H, W) in [0, 1] at the generator's size.
            classes: class map (N, C, H, W) at that size.
            outputs: of the closed-set network.
        """
        raise NotImplementedError

    def difference(self, image: Sequence[Tensor], synthesis: Sequence[Tensor]) -> Tensor:
        """Perceptual difference (N, H, W) in [0, 1) of two images' features; 0.5 where it is as large as usual."""
        found = perceptual_difference(image, synthesis, self.typical, self.size)
        return found / (found + self.usual_difference)


def at_logits(maps: Tensor, outputs: Outputs) -> Tensor:
    """(N, h, w) brought to the size of the logits."""
    return resize(maps[:, None], (outputs.logits.shape[-2], outputs.logits.shape[-1]))[:, 0]


class ImageResynthesis(Resynthesised):
    """The discrepancy network on image, synthesis and classes; trained on class maps in which things are swapped.

    Source: Lis et al., ICCV 2019. ``outlier`` is its logit, ``anomaly`` the probability.
    """

    reads_logits = False

    def judged(self, rgb: Tensor, classes: Tensor, outputs: Outputs) -> Outputs:
        """Outputs with ``outlier`` and ``anomaly``, see ``Resynthesised.judged``."""
        logit, _ = self.comparison(self.features(rgb), self.features(self.synthesis(classes)), classes)
        logit = at_logits(logit, outputs)
        return outputs._replace(outlier=logit, anomaly=torch.sigmoid(logit))


class SynthCP(Resynthesised):
    """The distance of the closed-set network's own features of image and synthesis; failures as a second output.

    ``anomaly`` is 1 - cosine similarity, and where the closed-set network is surer than ``sure``, 1 - its largest
    probability. ``failure`` is the log-odds of "this pixel's class is wrong" and ``iou`` (N, C) the predicted IoU of
    each class in the image, both by the comparison network. The features are taken at twice the generator's size.
    Source: Xia, Zhang, Liu, Shen, Yuille, "Synthesize then Compare", ECCV 2020.
    """

    discontinuous = 0.001  # at the threshold of the largest probability
    sure = 0.999

    def distance(self, rgb: Tensor, synthesis: Tensor) -> Tensor:
        """1 - cosine similarity of the features (N, h, w), in [0, 2].

        Raises:
            InputError: if the closed-set network gives no features.
        """
        size = (2 * self.size[0], 2 * self.size[1])
        one, other = (self.inner(self.normalised(resize(each, size))).features for each in (rgb, synthesis))
        if one is None or other is None:
            raise InputError(f"{type(self.network).__name__} gives no features, which SynthCP compares")
        return 1 - similarity(one, other)[:, 0]

    def judged(self, rgb: Tensor, classes: Tensor, outputs: Outputs) -> Outputs:
        """Outputs with ``anomaly``, ``failure`` and ``iou``, see ``Resynthesised.judged``."""
        synthesis = self.synthesis(classes)
        failure, iou = self.comparison(self.features(rgb), self.features(synthesis), classes)
        failure = at_logits(failure, outputs)
        if self.training:
            return outputs._replace(failure=failure, iou=iou)
        likely = torch.softmax(outputs.logits, 1).amax(1)
        distance = at_logits(self.distance(rgb, synthesis), outputs)
        anomaly = torch.where(likely > self.sure, 1 - likely, distance)
        return outputs._replace(anomaly=anomaly, failure=failure, iou=iou)


class SynBoost(Resynthesised):
    """The spatial-aware dissimilarity network, which reads uncertainty maps too, joined with them by fixed weights.

    ``outlier`` is the network's logit; ``anomaly`` in [0, 1] the weighted sum of its probability, the softmax entropy,
    the softmax distance and the perceptual difference, by the buffer ``weights``, which sums to 1.
    Source: Di Biase, Blum, Siegwart, Cadena, CVPR 2021.
    """

    weights: Tensor

    def __init__(self, network: nn.Module, features: Features, **arguments: object):
        super().__init__(network, features, **arguments, uncertainty=3, spatial=True)  # pyright: ignore[reportArgumentType]
        self.register_buffer("weights", torch.tensor(ENSEMBLE))

    def maps(self, rgb: Tensor, classes: Tensor, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """The logit (N, H, W) and the four maps (N, 4, H, W) in [0, 1], in the order of the weights."""
        image, made = self.features(rgb), self.features(self.synthesis(classes))
        probabilities = torch.softmax(resize(outputs.logits, self.size), 1)
        three = (softmax_entropy(probabilities), softmax_distance(probabilities), self.difference(image, made))
        uncertainty = torch.stack(three, 1).detach()
        logit, _ = self.comparison(image, made, classes, uncertainty)
        return logit, torch.cat((torch.sigmoid(logit)[:, None], uncertainty), 1)

    def judged(self, rgb: Tensor, classes: Tensor, outputs: Outputs) -> Outputs:
        """Outputs with ``outlier`` and ``anomaly``, see ``Resynthesised.judged``."""
        logit, maps = self.maps(rgb, classes, outputs)
        joined = (maps * self.weights.view(1, -1, 1, 1)).sum(1)
        return outputs._replace(outlier=at_logits(logit, outputs), anomaly=at_logits(joined, outputs))
