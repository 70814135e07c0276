"""What a network says about a batch, and the detector: normalise, network, scores, resize in one module."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.errors import InputError


class Outputs(NamedTuple):
    """What a network says about a batch; absent parts are None.

    Attributes:
        logits: (N, C, h, w) class logits.
        features: (N, D, h, w) the last layer before the classifier.
        outlier: (N, h, w) a learned outlier logit, the log-odds of "odd".
        void: (N, h, w) the logit of one more output beside the classes: void, or abstention.
        disagreement: (N, h, w) mutual information over samples or members.
        masks: (N, Q, h, w) mask logits of a mask network.
        queries: (N, Q, C + 1) class logits of its queries, the last one "no object".
        deep: queries and masks after each inner decoder layer of a mask network, in training only.
        layers: (N, D', h', w') outputs of inner layers, where they are asked for.
        boundary: (N, h, w) logit of "here two classes meet", from a head that exists in training only.
        auxiliary: logits (N, C, h', w') of heads that exist in training only.
    """

    logits: Tensor
    features: Tensor | None = None
    outlier: Tensor | None = None
    void: Tensor | None = None
    disagreement: Tensor | None = None
    masks: Tensor | None = None
    queries: Tensor | None = None
    deep: tuple[tuple[Tensor, Tensor], ...] = ()
    layers: tuple[Tensor, ...] = ()
    boundary: Tensor | None = None
    auxiliary: tuple[Tensor, ...] = ()


Score = Callable[[Outputs], Tensor]
"""Outputs -> (N, h, w), higher is stranger: a function, or a module with buffers."""

NORMALISATION: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cityscapes": ((0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115)),
}
"""Mean and standard deviation of RGB in [0, 1] that a network was trained with."""


ALIGNED: dict[str, dict[str, bool]] = {"bilinear": {"align_corners": False}, "nearest": {}}
"""Arguments of each kind of interpolation."""


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (N, C, h, w) to (N, C, *size), half-pixel centres, no antialiasing."""
    numbers = all(isinstance(side, int) for side in (*maps.shape[-2:], *size))  # symbols while an export is traced
    if numbers and tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def gaussian_blur(maps: Tensor) -> Tensor:
    """(N, h, w) smoothed by a 7x7 Gaussian of sigma 1, reflected at the border; repeated there if 3 pixels or fewer."""
    sides = [each for each in maps.shape[-2:] if isinstance(each, int)]  # no numbers while an export is traced
    mode = "replicate" if min(sides, default=4) <= 3 else "reflect"
    tap = torch.exp(-0.5 * torch.arange(-3, 4, dtype=maps.dtype, device=maps.device) ** 2)
    tap = tap / tap.sum()
    padded = F.pad(maps[:, None], (3, 3, 3, 3), mode=mode)
    return F.conv2d(F.conv2d(padded, tap.view(1, 1, 1, 7)), tap.view(1, 1, 7, 1))[:, 0]


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Extend (N, C, H, W) below and to the right, repeating the border, to sides that are multiples."""
    height, width = images.shape[-2:]
    if not isinstance(height, int) or not isinstance(width, int):
        return images  # an export is traced, and the exporter promises multiples
    below, right = -height % multiple, -width % multiple
    if below == 0 and right == 0:
        return images
    return F.pad(images, (0, right, 0, below), mode="replicate")


def crop_outputs(outputs: Outputs, height: int, width: int, stride: int) -> Outputs:
    """Cut maps of a padded input back to the ceil(height / stride) x ceil(width / stride) that cover the image."""
    if not isinstance(height, int) or not isinstance(width, int):
        return outputs  # an export is traced: nothing was padded
    rows, columns = (height + stride - 1) // stride, (width + stride - 1) // stride
    if tuple(outputs.logits.shape[-2:]) == (rows, columns):
        return outputs

    def cut(maps: Tensor | None) -> Tensor | None:
        return None if maps is None else maps[..., :rows, :columns]

    logits = outputs.logits[..., :rows, :columns]
    return outputs._replace(
        logits=logits,
        features=cut(outputs.features),
        outlier=cut(outputs.outlier),
        void=cut(outputs.void),
        disagreement=cut(outputs.disagreement),
        masks=cut(outputs.masks),
        deep=tuple((queries, masks[..., :rows, :columns]) for queries, masks in outputs.deep),
        boundary=cut(outputs.boundary),
    )


def enlarge(maps: Tensor, stride: int) -> Tensor:
    """Bring (N, C, h, w) at a stride to (N, C, h * stride, w * stride): exactly, so that nothing drifts."""
    return maps if stride == 1 else resize(maps, (maps.shape[-2] * stride, maps.shape[-1] * stride))


def multiple_of(network: nn.Module) -> int:
    """Sides of an image that are multiples of this are not padded by the network, or by any network inside it."""
    known = [getattr(network, "stride", 1), *(getattr(each, "multiple", 1) for each in network.modules())]
    return math.lcm(*(each for each in known if isinstance(each, int)))


def split_void(outputs: Outputs, known: int) -> Outputs:
    """Outputs whose logits are the known classes only; one output more becomes ``void``.

    ERFNet, for one, has 20 outputs for 19 classes: the last must not take part in a maximum, a sum or an entropy.

    Raises:
        InputError: if the network has fewer outputs than known classes, or more than one beyond them.
    """
    count = outputs.logits.shape[1]
    if count == known:
        return outputs
    if count != known + 1:
        raise InputError(
            f"the network has {count} outputs; expected {known} classes, or {known + 1} with a void output"
        )
    return outputs._replace(logits=outputs.logits[:, :known], void=outputs.logits[:, known])


SECOND_SHARE = 0.3
"""Share of the second look in the logits: it knows large things and surfaces, the first one what is small and far."""


class Detector(nn.Module):
    """An RGB image batch in, one score map for each score out: what the exporter writes into a file.

    Args:
        network: (N, 3, H, W) float32, normalised -> Outputs; has an attribute ``stride``.
        scores: names and functions of the outputs, in order.
        normalisation: key in NORMALISATION.
        size: (H, W) the network sees, or None to keep the image's own.
        upsample: "score" computes the score at the network's stride and enlarges one map; "logits" enlarges the
            logits first, which costs about 30 times more and gives a slightly different map.
        temperature: logits are divided by it before the scores.
        known: number of known classes; an output beyond them is the void output. None if there is no such output.
        classes: add one more output, the most likely known class of each pixel, (N, H, W) uint8.
        mirror: average each score with that of the mirror image, mirrored back; it doubles the time.
        second: (H, W) of a second look at the same image, smaller than ``size``; logits are those of both looks, the
            second with a share of SECOND_SHARE.

    Raises:
        InputError: if there is a second look and no first size.
    """

    colour_mean: Tensor
    colour_std: Tensor

    def __init__(
        self,
        network: nn.Module,
        scores: Mapping[str, Score],
        normalisation: str = "imagenet",
        size: tuple[int, int] | None = None,
        upsample: str = "score",
        temperature: float = 1.0,
        known: int | None = None,
        classes: bool = False,
        mirror: bool = False,
        second: tuple[int, int] | None = None,
    ):
        super().__init__()
        if second is not None and size is None:
            raise InputError(f"a second look at {second[0]}x{second[1]} needs a size of the first, such as 448x896")
        self.second = second
        self.network = network
        self.scores = dict(scores)
        self.fitted = nn.ModuleDict({name: each for name, each in scores.items() if isinstance(each, nn.Module)})
        self.size = size
        self.upsample = upsample
        self.temperature = temperature
        self.known = known
        self.classes = classes
        self.mirror = mirror
        self.multiple = multiple_of(network)
        self.stride = int(network.stride)  # pyright: ignore[reportArgumentType]
        mean, std = NORMALISATION[normalisation]
        self.register_buffer("colour_mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("colour_std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def outputs(self, images: Tensor) -> Outputs:
        """Outputs of the network for (N, H, W, 3) uint8 RGB images, at the network's stride."""
        return self.look(self.pixels(images))

    def pixels(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 -> (N, 3, h, w) float32 in 0 to 255, at the size that the network sees."""
        pixels = images.permute(0, 3, 1, 2).float()
        return pixels if self.size is None else resize(pixels, self.size)

    def look(self, pixels: Tensor) -> Outputs:
        """Outputs for (N, 3, h, w) in 0 to 255, void split off, divided by the temperature.

        With ``second``, logits, void and outlier head of both looks; a score that needs more finds nothing.

        Raises:
            InputError: if a mask network shall look twice.
        """
        outputs = self.once(pixels)
        if self.second is None:
            return outputs
        if outputs.masks is not None:
            raise InputError("a second look is for networks that classify pixels; leave it out for a mask network")
        half = self.size == (2 * self.second[0], 2 * self.second[1])
        other = self.once(F.avg_pool2d(pixels, 2) if half else resize(pixels, self.second))  # the same where it is half
        size = (outputs.logits.shape[-2], outputs.logits.shape[-1])

        def both(one: Tensor, two: Tensor) -> Tensor:
            return (1 - SECOND_SHARE) * one + SECOND_SHARE * resize(two, size)

        def of_map(one: Tensor | None, two: Tensor | None) -> Tensor | None:
            return None if one is None or two is None else both(one[:, None], two[:, None])[:, 0]

        logits = both(outputs.logits, other.logits)
        return Outputs(logits, outlier=of_map(outputs.outlier, other.outlier), void=of_map(outputs.void, other.void))

    def once(self, pixels: Tensor) -> Outputs:
        """Outputs of one look."""
        outputs = self.network((pixels - self.colour_mean) / self.colour_std)
        if self.known is not None:
            outputs = split_void(outputs, self.known)
        if self.temperature != 1.0:
            outputs = outputs._replace(
                logits=outputs.logits / self.temperature,
                void=None if outputs.void is None else outputs.void / self.temperature,
            )
        return outputs

    def maps(self, pixels: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Each score's map (N, 1, h, w), and the classes (N, 1, h, w) as float32, or None, of pixels in 0 to 255.

        At the network's stride, or at that of the pixels (N, 3, H, W) with ``upsample`` "logits". Where a side is no
        multiple of the stride, the maps reach beyond the pixels by less than one stride.
        """
        outputs = self.look(pixels)
        if self.upsample == "logits":

            def whole(maps: Tensor | None) -> Tensor | None:
                return None if maps is None else enlarge(maps[:, None], self.stride)[:, 0]

            outputs = outputs._replace(
                logits=enlarge(outputs.logits, self.stride),
                outlier=whole(outputs.outlier),
                void=whole(outputs.void),
                disagreement=whole(outputs.disagreement),
                masks=None if outputs.masks is None else enlarge(outputs.masks, self.stride),
            )
        maps = [score(outputs)[:, None] for score in self.scores.values()]
        return maps, outputs.logits.argmax(1, keepdim=True).float() if self.classes else None

    def mirrored(self, pixels: Tensor, maps: list[Tensor], stride: int) -> list[Tensor]:
        """The means of maps (N, 1, h, w) at a stride of the pixels and of those of the mirrored pixels, mirrored back.

        The pixels' width must be a multiple of the stride.
        """
        others = [enlarge(each, self.map_stride // stride) for each in self.maps(pixels.flip(-1))[0]]
        if isinstance(across := pixels.shape[-1], int):  # else an export is traced, at multiples of the stride
            maps, others = ([each[..., : across // stride] for each in both] for both in (maps, others))
        return [(each + other.flip(-1)) / 2 for each, other in zip(maps, others, strict=True)]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Score maps (N, H, W) float32 in the order of the scores, at the size of the images (N, H, W, 3) uint8.

        With ``classes``, the last one is the most likely class (N, H, W) uint8. Each map is enlarged by itself and in
        one step from the network's stride, so that a graph need not compute what nobody reads.
        """
        height, width = images.shape[1], images.shape[2]
        pixels = self.pixels(images)
        if self.size is None:
            pixels = pad_to_multiple(pixels, self.multiple)
        maps, likely = self.maps(pixels)
        stride, across = self.map_stride, pixels.shape[-1]
        if self.mirror:
            if isinstance(across, int) and across % stride:
                maps, stride = [enlarge(each, stride)[..., :across] for each in maps], 1
            maps = self.mirrored(pixels, maps, stride)
        found = [self.whole(each, height, width, stride, "bilinear") for each in maps]
        if likely is not None:
            found.append(self.whole(likely, height, width, self.map_stride, "nearest").to(torch.uint8))
        return tuple(each[:, 0] for each in found)

    @property
    def map_stride(self) -> int:
        """Stride of the maps before they are enlarged."""
        return 1 if self.upsample == "logits" else self.stride

    @property
    def direct(self) -> bool:
        """Whether maps are enlarged from the network's stride to the image in one step."""
        return self.upsample == "score" and self.size is not None and all(side % self.stride == 0 for side in self.size)

    def whole(self, maps: Tensor, height: int, width: int, stride: int, mode: str) -> Tensor:
        """A map (N, 1, h, w) at a stride of the network's input at the size of the image."""
        if self.direct:
            return F.interpolate(maps, size=(height, width), mode=mode, **ALIGNED[mode])
        if stride > 1:
            maps = F.interpolate(maps, scale_factor=stride, mode=mode, **ALIGNED[mode])
        if self.size is not None:
            maps = maps[..., : self.size[0], : self.size[1]]
            return F.interpolate(maps, size=(height, width), mode=mode, **ALIGNED[mode])
        if isinstance(height, int) and isinstance(width, int):
            maps = maps[..., :height, :width]
        return maps
