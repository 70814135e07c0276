"""The detector: normalise, network, scores, resize in one module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.errors import InputError, pick
from oddroad.learn.outputs import Outputs, Score, split_void
from oddroad.learn.tensor_ops import ALIGNED, enlarge, pad_to_multiple, resize

NORMALISATION: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cityscapes": ((0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115)),
}
"""Mean and standard deviation of RGB in [0, 1] that a network was trained with."""


@dataclass(frozen=True)
class Preprocessing:
    """What a network wants of an image, as constants in the order of its own channels.

    Attributes:
        mean: is taken off values of 0 to 255.
        std: divides them then.
        bgr: whether the network's channels are blue, green, red.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False

    @classmethod
    def parse(cls, text: str) -> Preprocessing:
        """Read a normalisation: a key in NORMALISATION, and after colons ``bgr`` and ``0-255`` where they hold.

        ``0-255``: the values are not brought to [0, 1]; the mean is taken off, and nothing is divided by, as Caffe's
        and detectron2's own backbones have it.

        >>> Preprocessing.parse("imagenet").std == Preprocessing.parse("imagenet:0-255").std
        False
        >>> Preprocessing.parse("unit:bgr:0-255")
        Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), bgr=True)

        Raises:
            InputError: if it is none.
        """
        name, *more = text.split(":")
        colour_mean, colour_std = pick(NORMALISATION, name, "normalisation")
        if unknown := [each for each in more if each not in ("bgr", "0-255")]:
            raise InputError(f"normalisation '{text}' holds '{unknown[0]}'; expected a name, then :bgr and :0-255")
        bgr, raw = "bgr" in more, "0-255" in more
        step = -1 if bgr else 1
        r, g, b = (255 * each for each in colour_mean[::step])
        x, y, z = (1.0 if raw else 255 * each for each in colour_std[::step])
        return cls((r, g, b), (x, y, z), bgr)

    def constants(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation, (1, 3, 1, 1) each."""
        return torch.tensor(self.mean).view(1, 3, 1, 1), torch.tensor(self.std).view(1, 3, 1, 1)

    def ordered(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in RGB -> the same in the network's order."""
        return pixels.flip(1) if self.bgr else pixels

    def normalised(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in 0 to 255 -> what the network sees, float32."""
        mean, std = (each.to(pixels.device) for each in self.constants())
        return (self.ordered(pixels) - mean) / std


def multiple_of(network: nn.Module) -> int:
    """Sides of an image that are multiples of this are not padded by the network, or by any network inside it."""
    known = [getattr(network, "stride", 1), *(getattr(each, "multiple", 1) for each in network.modules())]
    return math.lcm(*(each for each in known if isinstance(each, int)))


class Detector(nn.Module):
    """An RGB image batch in, one score map for each score out: what the exporter writes into a file.

    Args:
        network: (N, 3, H, W) float32, normalised -> Outputs; has an attribute ``stride``.
        scores: names and functions of the outputs, in order.
        normalisation: what the network wants of an image, as ``Preprocessing.parse`` reads it.
        size: (H, W) the network sees, or None to keep the image's own.
        upsample: "score" computes the score at the network's stride and enlarges one map; "logits" enlarges the
            logits first, which costs about 30 times more and gives a slightly different map.
        temperature: logits are divided by it before the scores.
        known: number of closed-set classes; an output beyond them is the void output. None if there is no such output.
        classes: add one more output, the most likely class of each pixel, (N, H, W) uint8.
        flip_tta: average each score with that of the mirror image, mirrored back; it doubles the time.
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
        flip_tta: bool = False,
    ):
        super().__init__()
        self.network = network
        self.scores = dict(scores)
        self.fitted = nn.ModuleDict({name: each for name, each in scores.items() if isinstance(each, nn.Module)})
        self.size = size
        self.upsample = upsample
        self.temperature = temperature
        self.known = known
        self.classes = classes
        self.flip_tta = flip_tta
        self.multiple = multiple_of(network)
        self.stride = int(network.stride)  # pyright: ignore[reportArgumentType]
        self.preprocessing = Preprocessing.parse(normalisation)
        mean, std = self.preprocessing.constants()
        self.register_buffer("colour_mean", mean, persistent=False)
        self.register_buffer("colour_std", std, persistent=False)

    def outputs(self, images: Tensor) -> Outputs:
        """Outputs of the network for (N, H, W, 3) uint8 RGB images, at the network's stride."""
        return self.network_outputs(self.pixels(images))

    def pixels(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB -> (N, 3, h, w) float32 in 0 to 255, at the network's size, in its channels' order."""
        pixels = self.preprocessing.ordered(images.permute(0, 3, 1, 2)).float()
        return pixels if self.size is None else resize(pixels, self.size)

    def network_outputs(self, pixels: Tensor) -> Outputs:
        """Outputs for the (N, 3, h, w) of ``pixels``, void split off, divided by the temperature."""
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
        outputs = self.network_outputs(pixels)
        if self.upsample == "logits":

            def whole(maps: Tensor | None) -> Tensor | None:
                return None if maps is None else enlarge(maps[:, None], self.stride)[:, 0]

            outputs = outputs._replace(
                logits=enlarge(outputs.logits, self.stride),
                outlier=whole(outputs.outlier),
                void=whole(outputs.void),
                mutual_information=whole(outputs.mutual_information),
                anomaly=whole(outputs.anomaly),
                failure=whole(outputs.failure),
                masks=None if outputs.masks is None else enlarge(outputs.masks, self.stride),
            )
        maps = [score(outputs)[:, None] for score in self.scores.values()]
        return maps, outputs.logits.argmax(1, keepdim=True).float() if self.classes else None

    def flip_averaged(self, pixels: Tensor, maps: list[Tensor], stride: int) -> list[Tensor]:
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
        if self.flip_tta:
            if isinstance(across, int) and across % stride:
                maps, stride = [enlarge(each, stride)[..., :across] for each in maps], 1
            maps = self.flip_averaged(pixels, maps, stride)
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
