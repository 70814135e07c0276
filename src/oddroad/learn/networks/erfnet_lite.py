"""ERFNet's encoder without the blocks it can spare, read at two strides; for real time on a processor.

Encoder of Romera et al., "ERFNet", 2018 (``networks.erfnet``), with the same parameter names, so that published
weights of the kept blocks load. docs/research/embedded.md tells which blocks were left out, and by which figures. Two
linear classifiers take the place of the decoder, as in the skips of Long, Shelhamer and Darrell, "Fully Convolutional
Networks for Semantic Segmentation", CVPR 2015: one reads 128 channels at stride 8, one 64 channels at stride 4.
"""

from __future__ import annotations

from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, IsoMax
from oddroad.learn.networks.erfnet import Encoder
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple, resize

SPARED = (2, 3, 13, 14)
"""Numbers of ERFNet's encoder layers that are left out: two of five blocks at stride 4, two of eight at stride 8."""

FINE = 5
"""Number of the last layer at stride 4."""


class ERFNetLite(nn.Module):
    """Nine of ERFNet's thirteen encoder blocks, without dropout; classes and outlier head at stride 4.

    Args:
        classes: number of class logits.
        outlier: add an outlier head, linear like the classifiers and at the same two strides.
        auxiliary: give the logits of stride 8 alone as ``Outputs.auxiliary`` in training.
        isomax: put an IsoMax+ head on that many channels in the place of the logits; 0 for none.
    """

    multiple = 8
    stride = 4

    def __init__(self, classes: int = 19, outlier: bool = False, auxiliary: bool = False, isomax: int = 0):
        super().__init__()
        self.encoder = Encoder(isomax or classes, dropout=0.0)
        for each in SPARED:
            self.encoder.layers[each] = nn.Identity()
        self.auxiliary = auxiliary
        self.fine = zero_init(Classifier(64, isomax or classes, 1))
        self.isomax = IsoMax(isomax, classes) if isomax else nn.Identity()
        self.outlier = Classifier(128, 1, 1) if outlier else None
        self.fine_outlier = zero_init(Classifier(64, 1, 1)) if outlier else None

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) RGB in [0, 1] -> Outputs at a quarter of H x W, any size; the features are those of stride 8."""
        height, width = images.shape[-2:]
        x = self.encoder.initial_block(pad_to_multiple(images, self.multiple))
        for layer in self.encoder.layers[: FINE + 1]:
            x = layer(x)
        fine = x
        for layer in self.encoder.layers[FINE + 1 :]:
            x = layer(x)
        size = (fine.shape[-2], fine.shape[-1])
        assert self.encoder.output_conv is not None
        coarse = self.encoder.output_conv(x)
        logits, outlier = resize(coarse, size) + self.fine(fine), None
        if self.outlier is not None and self.fine_outlier is not None:
            outlier = (resize(self.outlier(x), size) + self.fine_outlier(fine))[:, 0]
        outputs = Outputs(
            logits=self.isomax(logits),
            features=logits if isinstance(self.isomax, IsoMax) else resize(x, size),
            outlier=outlier,
            auxiliary=(self.isomax(coarse),) if self.auxiliary and self.training else (),
        )
        return crop_outputs(outputs, height, width, self.stride)


def zero_init(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with all its weights 0, so that it adds nothing until it has learned something."""
    for each in layer.parameters():
        nn.init.zeros_(each)
    return layer
