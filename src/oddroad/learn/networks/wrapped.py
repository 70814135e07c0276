"""Networks around a network: ODIN, MC dropout, ensembles, several sizes, temperature, and inner layers.

Each has the signature of a network, ``(N, 3, H, W) normalised -> Outputs``, and its ``stride``. Where several members
or samples are averaged, the logits are the logarithm of the mean probability, so that every score on logits keeps its
meaning, and ``mutual_information`` is in nats.

``known`` is the number of closed-set classes: an output beyond them (void) is split off before any softmax. It may be
left out for a network without such an output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from oddroad.errors import InputError
from oddroad.learn.outputs import Outputs, split_void
from oddroad.learn.tensor_ops import resize


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax over axis 1 of (N, C, h, w), in the form that runs fast in every engine."""
    below = logits - logits.amax(1, keepdim=True)
    return below - below.exp().sum(1, keepdim=True).log()


def entropy_of(log_p: Tensor) -> Tensor:
    """Entropy (N, h, w) in nats of log-probabilities (N, C, h, w)."""
    return -(log_p.exp() * log_p).sum(1)


class EnsembleAccumulator:
    """Mean probability and mutual information of several accumulator, one at a time, in constant memory.

    Sources: Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016; Lakshminarayanan et al., "Simple and
    Scalable Predictive Uncertainty Estimation using Deep Ensembles", 2017.
    """

    def __init__(self) -> None:
        self.count = 0
        self.log_sum: Tensor | None = None
        self.entropies: Tensor | None = None

    def add(self, logits: Tensor) -> None:
        """One member: logits (N, C, h, w) of the closed-set classes."""
        log_p = log_probabilities(logits)
        entropy = entropy_of(log_p)
        if self.log_sum is None or self.entropies is None:
            self.log_sum, self.entropies = log_p, entropy
        else:
            top = torch.maximum(self.log_sum, log_p)
            self.log_sum = top + ((self.log_sum - top).exp() + (log_p - top).exp()).log()
            self.entropies = self.entropies + entropy
        self.count += 1

    def outputs(self) -> Outputs:
        """The members' mean: logits are its log-probabilities, ``mutual_information`` is H(mean p) - mean H(p) >= 0."""
        assert self.log_sum is not None
        assert self.entropies is not None
        log_p = log_probabilities(self.log_sum)
        return Outputs(log_p, mutual_information=(entropy_of(log_p) - self.entropies / self.count).clamp(min=0))


class NetworkWrapper(nn.Module):
    """The part that all wrapped networks share: the network inside, its stride, its closed-set classes."""

    not_exportable = ""
    """Why the exporter must refuse this network and what to use instead; empty if it can be exported."""

    def __init__(self, network: nn.Module, known: int | None = None):
        super().__init__()
        self.network = network
        self.known = known
        self.stride = int(network.stride)  # pyright: ignore[reportArgumentType]

    def inner(self, images: Tensor) -> Outputs:
        """Outputs of the network inside, the void output split off."""
        outputs = self.network(images)
        return outputs if self.known is None else split_void(outputs, self.known)


class Tempered(NetworkWrapper):
    """Divides the logits, and the void output, by a temperature.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """

    def __init__(self, network: nn.Module, temperature: float, known: int | None = None):
        super().__init__(network, known)
        self.temperature = positive(temperature, "temperature")

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs with logits / T."""
        outputs = self.inner(images)
        return outputs._replace(
            logits=outputs.logits / self.temperature,
            void=None if outputs.void is None else outputs.void / self.temperature,
        )


class Odin(NetworkWrapper):
    """Moves the image a small step towards a surer answer and takes the tempered logits there.

    x' = x - epsilon * sign(gradient of the sum over pixels of -log max softmax(z / T)); logits = z(x') / T. Known
    scenes become surer by the step than outliers. Costs a forward, a backward and a forward pass.
    Source: Liang, Li, Srikant, "Enhancing the Reliability of Out-of-distribution Image Detection", 2018.

    Args:
        network: the network.
        temperature: T, 1000 in the paper.
        epsilon: the step in normalised units, 0.0014 in the paper.
        known: number of closed-set classes.
    """

    not_exportable = (
        "ODIN needs a gradient through the network for every image, which an .onnx file cannot compute; "
        "export --scores max_logit or energy, and calibrate the temperature"
    )

    def __init__(
        self, network: nn.Module, temperature: float = 1000.0, epsilon: float = 0.0014, known: int | None = None
    ):
        super().__init__(network, known)
        self.temperature = positive(temperature, "temperature")
        self.epsilon = epsilon

    def step(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The moved images and the gradient, both (N, 3, H, W)."""
        with torch.inference_mode(False), torch.enable_grad():
            moving = images.detach().clone().requires_grad_()
            log_p = log_probabilities(self.inner(moving).logits / self.temperature)
            (gradient,) = torch.autograd.grad(-log_p.amax(1).sum(), moving)
        return images - self.epsilon * gradient.sign(), gradient

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs at the moved image, logits divided by T."""
        outputs = self.inner(self.step(images)[0])
        return outputs._replace(logits=outputs.logits / self.temperature)


class McDropout(NetworkWrapper):
    """Several passes with dropout switched on, averaged.

    Source: Gal and Ghahramani, 2016; per pixel as in Mukhoti and Gal, 2018.

    Args:
        network: a network with dropout layers.
        samples: number of passes.
        known: number of closed-set classes.

    Raises:
        InputError: if the network has no dropout layer, or fewer than two samples are asked for.
    """

    not_exportable = (
        "MC dropout draws random numbers in every pass, which the exporter's parity check cannot allow; "
        "export an ensemble of two or three networks, or --scores energy"
    )

    def __init__(self, network: nn.Module, samples: int = 8, known: int | None = None):
        super().__init__(network, known)
        if samples < 2:
            raise InputError(f"{samples} dropout samples; expected 2 or more")
        self.samples = samples
        self.dropouts = [each for each in network.modules() if isinstance(each, nn.modules.dropout._DropoutNd)]
        if not any(each.p > 0 for each in self.dropouts):
            raise InputError(
                f"{type(network).__name__} has no dropout to sample; use one that has (erfnet, enet), or an ensemble"
            )

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs of the mean over the samples, with ``mutual_information``."""
        was = [each.training for each in self.dropouts]
        accumulator = EnsembleAccumulator()
        try:
            for each in self.dropouts:
                each.train()
            for _ in range(self.samples):
                accumulator.add(self.inner(images).logits)
        finally:
            for each, training in zip(self.dropouts, was, strict=True):
                each.train(training)
        return accumulator.outputs()


class Ensemble(nn.Module):
    """Several networks of one stride and the same classes, averaged; exports as one graph.

    Source: Lakshminarayanan et al., 2017.

    Raises:
        InputError: if there are fewer than two networks, or their strides differ.
    """

    not_exportable = ""

    def __init__(self, networks: Sequence[nn.Module], known: int | None = None):
        super().__init__()
        if len(networks) < 2:
            raise InputError(f"an ensemble of {len(networks)}; expected two networks or more")
        strides = {int(each.stride) for each in networks}  # pyright: ignore[reportArgumentType]
        if len(strides) > 1:
            raise InputError(f"the networks of an ensemble have strides {sorted(strides)}; expected one stride for all")
        self.networks = nn.ModuleList(networks)
        self.known = known
        self.stride = strides.pop()

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs of the mean over the members, with ``mutual_information``."""
        accumulator = EnsembleAccumulator()
        for network in self.networks:
            outputs = network(images)
            accumulator.add((outputs if self.known is None else split_void(outputs, self.known)).logits)
        return accumulator.outputs()


class Scales(NetworkWrapper):
    """The mean of what a network says of the image and of smaller forms of it; exports as one graph of one size.

    Logits, void and the outlier head's logit are averaged at the stride of the image itself; features and the like are
    those of the image. A pixel that only one of the sizes takes for odd stands out less, one that all do stays.
    Measured: a better AP within one camera, no more found at equal false alarms across cameras (embedded_imagenet.md).

    Args:
        network: gives logits, and perhaps void and outlier logits; no masks.
        smaller: height and width of the other forms, as shares of the image's; brought to the network's multiples.
        known: number of closed-set classes.

    Raises:
        InputError: if there is no other form, or a share is not between 0 and 1.
    """

    fixed_size = True
    """The other forms' sizes are numbers in the graph."""

    def __init__(self, network: nn.Module, smaller: Sequence[float], known: int | None = None):
        super().__init__(network, known)
        if not smaller or not all(0 < each < 1 for each in smaller):
            given = ", ".join(f"{each:g}" for each in smaller) or "none"
            raise InputError(f"image made smaller by: {given}; expected one share or more between 0 and 1, such as 0.5")
        self.smaller = tuple(smaller)
        self.multiple = math.lcm(self.stride, int(getattr(network, "multiple", 1)))

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs of the means.

        Raises:
            InputError: if the network gives masks, whose queries have no counterpart at another size.
        """
        height, width = (int(each) for each in images.shape[-2:])
        first = self.inner(images)
        if first.masks is not None:
            raise InputError(
                "the queries of a mask network are others at another size of the image; leave the smaller ones out"
            )
        found = [first]
        for share in self.smaller:
            size = self.near(share * height), self.near(share * width)
            found.append(self.inner(resize(images, size)))
        fine = int(first.logits.shape[-2]), int(first.logits.shape[-1])

        def mean(maps: Sequence[Tensor]) -> Tensor:
            """Of maps (N, C, h, w)."""
            total = maps[0]
            for each in maps[1:]:
                total = total + resize(each, fine)
            return total / len(maps)

        def single(maps: Sequence[Tensor | None]) -> Tensor | None:
            """Of maps (N, h, w), if all have one."""
            there = [each[:, None] for each in maps if each is not None]
            return mean(there)[:, 0] if len(there) == len(found) else None

        return first._replace(
            logits=mean([each.logits for each in found]),
            outlier=single([each.outlier for each in found]),
            void=single([each.void for each in found]),
        )

    @property
    def words(self) -> str:
        """What a card says of it."""
        return f"mean over the image and the image made smaller by {', '.join(f'{each:g}' for each in self.smaller)}"

    def near(self, side: float) -> int:
        """The multiple nearest to a side, and one at least."""
        return max(1, round(side / self.multiple)) * self.multiple


class Layers(NetworkWrapper):
    """Adds the outputs of inner modules to ``Outputs.layers``, for scores that read more than the last layer.

    Args:
        network: the network.
        names: dotted names of modules inside, such as ``encoder.layers.6``; each gives (N, D, h, w).
        known: number of closed-set classes.

    Raises:
        InputError: if the network has no module of that name.
    """

    def __init__(self, network: nn.Module, names: Sequence[str], known: int | None = None):
        super().__init__(network, known)
        modules = dict(network.named_modules())
        if lost := next((each for each in names if each not in modules), None):
            raise InputError(
                f"{type(network).__name__} has no layer '{lost}'; its outermost are: "
                f"{', '.join(name for name, _ in network.named_children())}"
            )
        self.names = tuple(names)

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs with ``layers`` in the order of the names."""
        seen: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, given: object, result: Tensor) -> None:
            seen[module] = result

        modules = [self.network.get_submodule(name) for name in self.names]
        hooks = [each.register_forward_hook(keep) for each in modules]
        try:
            outputs = self.inner(images)
        finally:
            for hook in hooks:
                hook.remove()
        return outputs._replace(layers=tuple(seen[each] for each in modules))


def positive(value: float, what: str) -> float:
    """The value, if it is above 0.

    Raises:
        InputError: if it is not.
    """
    if not value > 0:
        raise InputError(f"{what} {value}; expected a number above 0")
    return float(value)
