"""How image_resynthesis, synthcp and synboost are trained: first the generator against a discriminator, then the rest.

The closed-set network and the features are never trained here. In the second stage the generator is not trained either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oddroad.learn.outputs import Outputs
from oddroad.learn.resynthesis.discriminator import (
    Discriminator,
    discriminator_loss,
    feature_matching,
    generator_loss,
)
from oddroad.learn.resynthesis.features import perceptual_difference, perceptual_loss
from oddroad.learn.resynthesis.generator import one_hot
from oddroad.learn.resynthesis.methods import Resynthesised
from oddroad.learn.resynthesis.swapping import example
from oddroad.learn.training.module import Training, polynomial
from oddroad.recipe import RESYNTHESIS_NAMES, Recipe

MOMENTUM = 0.02
"""Share of a step in the running means of the features' sizes."""


class ResynthesisTraining(Training):
    """What both stages share: the parts that are trained, and those that stay as they are."""

    trained: tuple[str, ...] = ()

    def __init__(self, recipe: Recipe, class_weights: Tensor | None = None):
        super().__init__(recipe, class_weights)
        self.around: Resynthesised = self.network  # pyright: ignore[reportAttributeAccessIssue]
        for name, part in self.network.named_children():
            if name not in self.trained:
                part.requires_grad_(False)
                self.frozen += list(part.modules())

    def pixels(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> as the closed-set network sees them."""
        return (self.preprocessing.ordered(images.float()) - self.mean) / self.std


class GeneratorTraining(ResynthesisTraining):
    """The first stage: generator and discriminator take their steps at once, each by its own loss.

    The discriminator is part of the run's state, but not of the model that comes out.
    """

    trained = ("generator",)

    def __init__(self, recipe: Recipe, class_weights: Tensor | None = None):
        super().__init__(recipe, class_weights)
        adversarial = recipe.resynthesis.adversarial or recipe.resynthesis.matching
        self.discriminator = Discriminator(recipe.network.classes) if adversarial else None

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        """One step of both; every term is logged."""
        how = self.recipe.resynthesis
        rgb, classes = self.pair(batch)
        made = self.around.synthesis(classes)
        with torch.no_grad():
            real_features = self.around.features(rgb)
        made_features = self.around.features(made)
        terms = {
            "absolute": (rgb - made).abs().mean(),
            "perceptual": perceptual_loss(real_features, made_features),
        }
        total = how.absolute * terms["absolute"] + how.perceptual * terms["perceptual"]
        if self.discriminator is not None:
            real, fake = 2 * rgb - 1, 2 * made - 1
            real_maps, judged = self.discriminator(real, classes), self.discriminator(fake.detach(), classes)
            self.discriminator.requires_grad_(False)  # what fools it must not teach it
            fooled = self.discriminator(fake, classes)
            self.discriminator.requires_grad_(True)
            terms["adversarial"], terms["matching"] = generator_loss(fooled), feature_matching(real_maps, fooled)
            terms["discriminator"] = discriminator_loss(real_maps, judged)
            total = total + how.adversarial * terms["adversarial"] + how.matching * terms["matching"]
            total = total + terms["discriminator"]
        self.remember(real_features, made_features)
        shared = self.trainer.world_size > 1
        self.log_dict({name: value.detach() for name, value in terms.items()}, sync_dist=shared)
        self.log("loss", total.detach(), prog_bar=True, sync_dist=shared)
        return total

    def pair(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """RGB in [0, 1] and class map of a batch, at the generator's size."""
        images, labels = batch[0], batch[1]
        labels = nearest(labels, self.around.size)
        return self.around.rgb(self.pixels(images)), one_hot(labels, self.recipe.network.classes)

    @torch.no_grad()
    def remember(self, real: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        """Running means of the size of the features, and of the difference of image and synthesis in them."""
        around = self.around
        sizes = torch.stack([each.abs().mean() for each in real])
        around.typical.lerp_(sizes, 1.0 if self.global_step == 0 else MOMENTUM)
        found = perceptual_difference(real, [each.detach() for each in made], around.typical, around.size).mean()
        around.usual_difference.lerp_(found, 1.0 if self.global_step == 0 else MOMENTUM)

    def on_validation_epoch_start(self) -> None:
        """Empty the means."""
        self.found: list[tuple[float, float]] = []

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Difference of image and synthesis, in pixels and in features."""
        rgb, classes = self.pair(batch)
        made = self.around.synthesis(classes)
        loss = perceptual_loss(self.around.features(rgb), self.around.features(made))
        self.found.append((float((rgb - made).abs().mean()), float(loss)))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the validation images."""
        absolute, perceptual = np.mean(self.found, axis=0)
        shared = self.trainer.world_size > 1
        self.log_dict({"absolute_validation": absolute, "perceptual_validation": perceptual}, sync_dist=shared)

    def configure_optimizers(self) -> Any:
        """Adam with (0.5, 0.999) for both, each at its own learning rate, and the recipe's schedule."""
        how = self.recipe.optim
        groups: list[dict[str, Any]] = [{"params": list(self.around.generator.parameters()), "lr": how.lr}]
        if self.discriminator is not None:
            rate = self.recipe.resynthesis.discriminator_lr
            groups.append({"params": list(self.discriminator.parameters()), "lr": rate})
        optimiser = torch.optim.Adam(groups, betas=(0.5, 0.999))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, polynomial(how))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class ComparisonTraining(ResynthesisTraining):
    """The second stage: the comparison learns from altered class maps where image and synthesis disagree."""

    trained = ("comparison",)

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        """One step: the recipe's losses, on labels whose OUTLIER is where image and class map disagree."""
        how, classes = self.recipe.resynthesis, self.recipe.network.classes
        images, truth = batch[0], batch[1]
        pixels = self.pixels(images)
        with torch.no_grad():
            needs = self.around.reads_logits or how.seen > 0
            outputs = self.around.inner(pixels) if needs else None
        truth = nearest(truth, self.around.size)
        seen = None if outputs is None else nearest(outputs.logits.argmax(1), self.around.size)
        given, target = self.examples(truth, seen)
        if outputs is None:
            outputs = Outputs(one_hot(given, classes))
        found = self.around.judged(self.around.rgb(pixels), one_hot(given, classes), outputs)
        stride = self.recipe.scenes.loss_stride
        labels = truth if found.failure is not None else target
        total, terms = self.loss(found, labels[:, stride // 2 :: stride, stride // 2 :: stride])
        shared = self.trainer.world_size > 1
        self.log_dict({name: value.detach() for name, value in terms.items()}, sync_dist=shared)
        self.log("loss", total.detach(), prog_bar=True, sync_dist=shared)
        return total

    def examples(self, truth: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        """Class numbers to synthesise from, and targets, (N, H, W) each, of true labels and seen classes."""
        how, classes = self.recipe.resynthesis, self.recipe.network.classes
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        given, targets = [], []
        for number, label in enumerate(truth.cpu().numpy()):
            own = None if seen is None else seen[number].cpu().numpy()
            as_seen = own is not None and rng.random() < how.seen
            one, target = example(label, own, classes, rng, 0.0 if as_seen else how.swap, how.void)
            if as_seen and own is not None:
                mistaken = (label < classes) & (own != label)
                one, target = own, np.where(mistaken, 255, target)
            given.append(one)
            targets.append(target)
        return tuple(torch.from_numpy(np.stack(each)).to(truth) for each in (given, targets))  # type: ignore[return-value]

    def validation_scores(self, outputs: Outputs) -> list[str]:
        """The largest logit, and the method's own verdict."""
        return ["max_logit", "resynthesis"]


def nearest(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (N, H, W) at a size, by the nearest pixel."""
    if tuple(labels.shape[-2:]) == size:
        return labels
    return nn.functional.interpolate(labels[:, None].float(), size=size, mode="nearest")[:, 0].to(labels.dtype)


def training_of(recipe: Recipe) -> type[Training]:
    """The module that trains a recipe's network."""
    if recipe.network.name not in RESYNTHESIS_NAMES:
        return Training
    return GeneratorTraining if recipe.network.stage == "generator" else ComparisonTraining
