"""Objects pasted on a batch of crops by tensor operations; ``oddroad.learn.objects`` does it one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oddroad.learn.atlas import CONTENT, LEVELS, SIDE, Atlas
from oddroad.learn.chance import Chance, column
from oddroad.learn.objects import CutOut, boxed_outline, random_texture
from oddroad.learn.surfaces import ROAD
from oddroad.recipe import Outliers
from oddroad.types import IGNORE, OUTLIER

SHAPES = 1024
"""Random outlines and random textures that are kept; each is paired with any other."""

MOST_KNOWN = 3
"""Objects of known classes on one crop, at most."""


class Views(NamedTuple):
    """Some crops, and how each of their scenes lies in them.

    Attributes:
        images: (n, 3, H, W) float32 in 0 to 255.
        labels: (n, H, W) uint8.
        horizon: (n,) float32, the row of the horizon, above the crop where it is negative.
        height: (n,) float32, of the whole scene in rows of the crop.
        pixels: (n,) float32, rows of the crop for one stored row of the scene.
    """

    images: Tensor
    labels: Tensor
    horizon: Tensor
    height: Tensor
    pixels: Tensor


class Objects:
    """The objects of a run and random shapes, on a device, and how they come onto crops.

    Args:
        odd: objects with the label OUTLIER.
        known: objects of known classes.
        textures: (h, w, 3) uint8 each, that random textures are cut from; none for no random shapes.
        scenes: the same, for three in ten of them.
        seed: of the random shapes.
        device: where everything lies.
    """

    def __init__(
        self,
        odd: list[CutOut],
        known: list[CutOut],
        textures: list[np.ndarray],
        scenes: list[np.ndarray],
        seed: int,
        device: torch.device,
    ):
        rng = np.random.default_rng((seed, 2))
        objects = [*odd, *known]
        outlines = [mask[box] for mask, box in (boxed_outline(rng) for _ in range(SHAPES))]
        masks = [*(each.alpha for each in objects), *outlines]
        shapes = SHAPES if textures else 0
        pictures = [textures if rng.random() < 0.7 else scenes for _ in range(shapes)]
        shown = [*(each.image for each in objects), *(random_texture(rng, 96, each) for each in pictures)]
        self.odd, self.known, self.shapes = len(odd), len(known), shapes
        self.masks = Atlas([(255 * each).round().astype(np.uint8) for each in masks], device, empty=True)
        self.aspect = torch.tensor([each.shape[1] / each.shape[0] for each in masks], device=device)
        labels = [*(each.label for each in objects), *(SHAPES * [OUTLIER])]
        self.label = torch.tensor(labels, dtype=torch.uint8, device=device)
        if shown:
            self.pictures = Atlas(shown, device)
            full, share = (each.sheet[: len(shown), :, :SIDE, :SIDE].float() for each in (self.pictures, self.masks))
            total = share.sum((1, 2, 3)).clamp(min=1)
            self.mean = (full.mean(1, keepdim=True) * share).sum((1, 2, 3)) / total

    def any_odd(self, shapes: int, chance: Chance) -> Tensor:
        """(n,) int64: an odd object, or, more often, one of the textures or outlines."""
        chosen = chance.index(self.odd + shapes)
        return torch.where(chosen < self.odd, chosen, chosen + self.known)

    def outline(
        self, x: Tensor, y: Tensor, wide: Tensor, high: Tensor, coarse: Tensor, size: tuple[int, int], chance: Chance
    ) -> Tensor:
        """Random outlines (n, 1, H, W) in 0 to 1, in a box each, from the level that ``coarse`` asks for."""
        which = self.odd + self.known + chance.index(SHAPES)
        level = coarse.log2().round().clamp(0, LEVELS - 1).long()
        return self.masks.read(which, level, *within(x, y, wide, high, size)) / 255

    def paste(self, views: Views, how: Outliers, chance: Chance) -> None:
        """Known and odd objects on the crops, in place, at the scene's own sharpness and partly in its light."""
        light = F.avg_pool2d(views.images.mean(1, keepdim=True), 32, ceil_mode=True)
        road = views.labels == ROAD
        for share, most, known in ((how.known, MOST_KNOWN, True), (how.probability, how.most, False)):
            if not share or not (self.known if known else self.odd + self.shapes):
                continue
            there, wanted = chance.holds(share), 1 + chance.index(most)
            for number in range(most):
                if known:
                    picture = mask = self.odd + chance.index(self.known)
                else:
                    picture, mask = self.draw_odd(how.shapes, chance)
                place = self.place(views, road, mask, how.on_road, chance)
                self.paste_one(views, light, picture, mask, place, there & (wanted > number), chance)

    def draw_odd(self, shapes: float, chance: Chance) -> tuple[Tensor, Tensor]:
        """Numbers (n,) of a picture and of an outline each: of one odd object, or swapped with a random one."""
        own = chance.index(self.odd) if self.odd else self.known + chance.index(self.shapes)
        picture = torch.where(chance.holds(shapes), self.any_odd(self.shapes, chance), own)
        return picture, torch.where(chance.holds(shapes), self.any_odd(SHAPES, chance), own)

    def place(
        self, views: Views, road: Tensor, mask: Tensor, on_road: float, chance: Chance
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Foot point x, y, width and height (n,) of an object on each crop, as ``oddroad.learn.data.place``."""
        rows, columns = views.labels.shape[1:]
        x, y, has_road = chance.pixel(road)
        free = ~(chance.holds(on_road) & has_road)
        top = views.horizon.clamp(min=0)
        x = torch.where(free, chance.uniform(0, columns), x)
        y = torch.where(free, top + chance.uniform(0, 1) * (1.05 * rows - top), y)
        high = (y - views.horizon).clamp(min=4) * chance.even(0.06, 1.1)
        high = high.maximum(4 * views.pixels).minimum(0.75 * views.height)
        return x, y, high * self.aspect[mask] * chance.uniform(0.8, 1.25), high

    def paste_one(
        self,
        views: Views,
        light: Tensor,
        picture: Tensor,
        mask: Tensor,
        place: tuple[Tensor, Tensor, Tensor, Tensor],
        shown: Tensor,
        chance: Chance,
    ) -> None:
        """One object on each crop where it is to be shown, in place.

        Args:
            views: the crops.
            light: (n, 1, ceil(H / 32), ceil(W / 32)), their grey value before anything was pasted.
            picture: (n,) int64.
            mask: (n,) int64, its outline.
            place: as ``place`` gives it.
            shown: (n,) bool.
            chance: of sharpness, turn, light and contrast.
        """
        images, labels = views.images, views.labels
        rows, columns = labels.shape[1:]
        x, y, wide, high = place
        fine = (CONTENT * views.pixels / (0.8 * high)).log2() + chance.uniform(-0.4, 0.9)
        level = fine.round().clamp(0, LEVELS - 1).long()
        u, v = within(x - wide / 2, y - high, wide, high, (rows, columns), chance.normal(0.15))
        u = torch.where(chance.holds(0.5)[:, None, None], 1 - u, u)
        alpha = self.masks.read(mask, level, u, v)[:, 0] / 255 * shown[:, None, None]
        piece = self.pictures.read(picture, level, u, v)
        cell = (y - high / 2).clamp(0, rows - 1).long() // 32, x.clamp(0, columns - 1).long() // 32
        around = light[torch.arange(len(light), device=light.device), 0, cell[0], cell[1]]
        mean = self.mean[picture]
        shift = mean + chance.uniform(0, 0.7) * (around - mean) + chance.normal(8)
        piece = piece * chance.normal(0.15, 3).exp()[..., None, None] - column(mean)
        piece = piece * column(chance.uniform(0.6, 1.1)) + column(shift)
        images += alpha[:, None] * (piece.clamp(0, 255) - images)
        inside = alpha > 0.5
        labels.masked_fill_((alpha > 0.15) & ~inside, IGNORE)
        labels.copy_(torch.where(inside, self.label[mask][:, None, None], labels))


def within(
    x: Tensor, y: Tensor, wide: Tensor, high: Tensor, size: tuple[int, int], angle: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Place (u, v), (n, H, W) each, of every pixel in boxes with corner, width, height and angle in radians (n,)."""
    across = torch.arange(size[1], device=x.device).float() + 0.5 - (x + wide / 2)[:, None]
    down = torch.arange(size[0], device=x.device).float() + 0.5 - (y + high / 2)[:, None]
    across, down = torch.broadcast_tensors(across[:, None, :], down[:, :, None])
    if angle is not None:
        turn, side = angle.cos()[:, None, None], angle.sin()[:, None, None]
        across, down = turn * across + side * down, turn * down - side * across
    return across / wide[:, None, None] + 0.5, down / high[:, None, None] + 0.5
