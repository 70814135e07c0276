"""Density of the embedding: a small normalising flow on features of the network, as 1x1 convolutions.

Sources: Blum et al., "The Fishyscapes Benchmark", 2021 (learned embedding density, of one layer and as the minimum
over layers); Dinh, Sohl-Dickstein, Bengio, "Density Estimation using Real NVP", 2017 (the flow).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.errors import InputError, counted
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores.moments import Moments, at_logits, features_of, known_pixels, whitening


class Coupling(nn.Module):
    """Half of the channels, scaled and shifted by a function of the other half; then all are mixed by a rotation."""

    rotation: Tensor

    def __init__(self, channels: int, hidden: int, draw: torch.Generator):
        super().__init__()
        self.kept = channels // 2
        moved = channels - self.kept
        self.inner = nn.Conv2d(self.kept, hidden, 1)
        self.outer = nn.Conv2d(hidden, 2 * moved, 1)
        nn.init.normal_(self.inner.weight, std=1 / math.sqrt(max(1, self.kept)), generator=draw)
        nn.init.zeros_(self.inner.bias)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)  # pyright: ignore[reportArgumentType]
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels, generator=draw, dtype=torch.float64))
        self.register_buffer("rotation", rotation.float()[:, :, None, None].contiguous())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D, h, w) -> the same shape, and the log-determinant (N, h, w)."""
        kept, moved = x[:, : self.kept], x[:, self.kept :]
        scale, shift = self.outer(torch.relu(self.inner(kept))).chunk(2, 1)
        scale = 2 * torch.tanh(scale / 2)
        joined = torch.cat([kept, moved * scale.exp() + shift], 1)
        return F.conv2d(joined, self.rotation), scale.sum(1)


class Flow(nn.Module):
    """Whitening by mean and covariance, then couplings that start as the identity: a Gaussian, and better from there.

    Args:
        channels: D.
        couplings: number of couplings.
        hidden: width of the function inside each.
        seed: of the rotations and the first weights.
    """

    centre: Tensor
    white: Tensor
    constant: Tensor

    def __init__(self, channels: int, couplings: int, hidden: int, seed: int):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.register_buffer("centre", torch.zeros(channels, 1, 1))
        self.register_buffer("white", torch.eye(channels)[:, :, None, None].contiguous())
        self.register_buffer("constant", torch.zeros(()))
        self.couplings = nn.ModuleList([Coupling(channels, hidden, draw) for _ in range(couplings)])

    def start(self, mean: Tensor, covariance: Tensor) -> None:
        """Set the whitening; mean (D,), covariance (D, D), float64."""
        white = whitening(covariance, 1e-4)
        self.centre.copy_(mean[:, None, None])
        self.white.copy_(white[:, :, None, None])
        self.constant.copy_(0.5 * len(mean) * math.log(2 * math.pi) - white.diagonal().log().sum())

    def forward(self, features: Tensor) -> Tensor:
        """(N, D, h, w) -> -log density (N, h, w) in nats."""
        x = F.conv2d(features - self.centre, self.white)
        total = x.new_zeros(())
        for coupling in self.couplings:
            x, determinant = coupling(x)
            total = total + determinant
        return 0.5 * x.square().sum(1) - total + self.constant


class EmbeddingDensity(nn.Module):
    """-log density of the last features in nats; or, with inner layers, the smallest of the layers' standardised ones.

    Wrap the network in ``Layers`` to have inner layers: ``Outputs.layers`` come first, the features last. Each layer's
    -log density is brought to mean 0 and deviation 1 over the fitted pixels before the minimum is taken.

    Args:
        channels: D of each layer, the features last.
        couplings: number of couplings of each flow.
        hidden: width inside each coupling.
        pixels: labelled pixels to keep for the fit, drawn evenly from everything that is added.
        steps: steps of the fit, of 4096 pixels each.
        seed: of the draw and the first weights.
    """

    usual: Tensor
    deviation: Tensor
    reads_features = True

    def __init__(
        self,
        channels: Sequence[int] = (64,),
        couplings: int = 4,
        hidden: int = 64,
        pixels: int = 200_000,
        steps: int = 600,
        seed: int = 0,
    ):
        super().__init__()
        self.arguments = {
            "channels": list(channels), "couplings": couplings, "hidden": hidden, "pixels": pixels, "steps": steps,
            "seed": seed,
        }  # fmt: skip
        self.pixels, self.steps, self.seed = pixels, steps, seed
        self.flows = nn.ModuleList([Flow(each, couplings, hidden, seed + i) for i, each in enumerate(channels)])
        self.register_buffer("usual", torch.zeros(len(channels)))
        self.register_buffer("deviation", torch.ones(len(channels)))
        self.requires_grad_(False)
        self.draw = torch.Generator().manual_seed(seed)
        self.kept: list[Tensor] = [torch.zeros(0, each) for each in channels]
        self.keys: list[Tensor] = [torch.zeros(0) for _ in channels]
        self.moments = [Moments(1, each) for each in channels]

    @classmethod
    def build(cls, outputs: Outputs, stride: int) -> EmbeddingDensity:
        """For a network with these outputs."""
        return cls([each.shape[1] for each in (*outputs.layers, features_of(outputs))])

    def add(self, outputs: Outputs, labels: Tensor) -> None:
        """Gather features of the labelled pixels (N, H, W): all for mean and covariance, an even draw for the flow."""
        for i, maps in enumerate((*outputs.layers, features_of(outputs))):
            values, _ = known_pixels(maps.detach().float().cpu(), labels.cpu())
            self.moments[i].add(values, torch.zeros(len(values), dtype=torch.int64))
            keys = torch.cat([self.keys[i], torch.rand(len(values), generator=self.draw)])
            kept = torch.cat([self.kept[i], values])
            if len(keys) > self.pixels:
                keys, chosen = keys.topk(self.pixels)
                kept = kept[chosen]
            self.keys[i], self.kept[i] = keys, kept

    def finish(self) -> None:
        """Fit the flows by maximum likelihood (Adam, cosine rate from 3e-3).

        Raises:
            InputError: if fewer than two labelled pixels were seen.
        """
        for i, flow in enumerate(self.flows):
            assert isinstance(flow, Flow)
            if self.moments[i].count[0] < 2:
                raise InputError(
                    "no labelled pixel to fit embedding_density on; pass in-distribution scenes with labels"
                )
            flow.start(*self.moments[i].pooled())
            self.descend(flow, self.kept[i])
            with torch.no_grad():
                fitted = torch.cat([flow(part[:, :, None, None])[:, 0, 0] for part in self.kept[i].split(16384)])
            self.usual[i], self.deviation[i] = fitted.mean(), fitted.std().clamp(min=1e-6)

    def descend(self, flow: Flow, values: Tensor) -> None:
        """Minimise the mean -log density of values (P, D)."""
        with torch.inference_mode(False), torch.enable_grad():
            values = values.clone()
            parameters = [each.requires_grad_() for each in flow.parameters()]
            if not parameters or self.steps == 0:
                return
            optimiser = torch.optim.Adam(parameters, lr=3e-3)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
            for _ in range(self.steps):
                chosen = torch.randint(len(values), (min(4096, len(values)),), generator=self.draw)
                loss = flow(values[chosen].T[None, :, :, None]).mean()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 10.0)
                optimiser.step()
                schedule.step()
            for each in parameters:
                each.requires_grad_(False)

    def fit(self, stream: Iterable[tuple[Outputs, Tensor]]) -> EmbeddingDensity:
        """Fit on in-distribution scenes: pairs of Outputs and labels (N, H, W) int64."""
        for outputs, labels in stream:
            self.add(outputs, labels)
        self.finish()
        return self

    def forward(self, outputs: Outputs) -> Tensor:
        """Outputs -> (N, h, w): nats for one layer, deviations for several."""
        maps = (*outputs.layers, features_of(outputs))
        if len(maps) != len(self.flows):
            raise InputError(f"embedding_density was fitted on {counted(len(self.flows), 'layer')} and got {len(maps)}")
        if len(maps) == 1:
            return at_logits(self.flows[0](maps[0]), outputs)
        scored = [
            at_logits((flow(each) - usual) / deviation, outputs)
            for flow, each, usual, deviation in zip(self.flows, maps, self.usual, self.deviation, strict=True)
        ]
        return torch.stack(scored, 1).amin(1)
