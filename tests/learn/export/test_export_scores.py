"""Every score that can be exported is an output of the same graph, equal to torch in both engines at two sizes.

The exporter itself compares both engines with torch and refuses a file that differs; these tests let it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import MASK_SCORES
from small_networks import SLIM_ABOUT as ABOUT
from small_networks import labelled_noise as frames

from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.learn.detector import Detector
from oddroad.learn.export.onnx import export
from oddroad.learn.mask_ops import semantic_map
from oddroad.learn.networks.wrapped import Ensemble, Layers, McDropout, Odin
from oddroad.learn.outputs import Outputs, crop_outputs, split_void
from oddroad.learn.post_hoc import fit_scores
from oddroad.learn.scores import FITTED, SCORES
from oddroad.learn.scores.distance import Mahalanobis
from oddroad.learn.tensor_ops import pad_to_multiple

ON_LOGITS = tuple(name for name in SCORES if name not in {"mutual_information", "resynthesis", "failure", *MASK_SCORES})


class Small(torch.nn.Module):
    """Three convolutions at stride 4, with a void output beyond four classes, features and an outlier head."""

    stride = 4
    multiple = 32

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 12, 4, 4)
        self.body = torch.nn.Conv2d(12, 8, 3, padding=1)
        self.head = torch.nn.Conv2d(8, 6, 1)
        self.drop = torch.nn.Dropout(0.1)

    def forward(self, images: torch.Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs at a quarter of the size."""
        height, width = images.shape[-2:]
        features = torch.relu(self.body(torch.relu(self.stem(pad_to_multiple(images, 32)))))
        both = self.head(self.drop(features))
        return crop_outputs(Outputs(both[:, :5], features=features, outlier=both[:, 5]), height, width, 4)


def network(seed: int = 0) -> torch.nn.Module:
    """The small network with weights of this seed."""
    torch.manual_seed(seed)
    return Small().eval()


@pytest.fixture(scope="module")
def known_network() -> torch.nn.Module:
    return network()


@pytest.mark.usefixtures("brief_flow")
def test_all_scores_are_outputs_of_one_graph(known_network: torch.nn.Module, tmp_path: Path) -> None:
    names = (*ON_LOGITS, *FITTED)
    fitted = fit_scores(known_network, ABOUT, list(FITTED), frames())
    card = export(known_network, ABOUT, {**{name: SCORES[name] for name in ON_LOGITS}, **fitted}, tmp_path / "all.onnx")
    assert card.scores == names
    image = frames()[1][0]
    maps = Model(tmp_path / "all.onnx").maps(image)
    assert set(maps) == set(names)
    assert {each.shape for each in maps.values()} == {image.shape[:2]}
    assert all(np.isfinite(each).all() and each.std() > 0 for each in maps.values())


def test_a_covariance_for_each_class_exports(known_network: torch.nn.Module, tmp_path: Path) -> None:
    score = Mahalanobis(4, 8, per_class=True)
    stream = [
        (split_void(known_network(torch.rand(1, 3, 64, 64)), 4), torch.randint(0, 4, (1, 64, 64))) for _ in range(8)
    ]
    score.fit(stream)
    export(known_network, ABOUT, {"mahalanobis": score}, tmp_path / "each.onnx", size=(64, 96))
    assert Model(tmp_path / "each.onnx")(frames()[0][0]).std() > 0


@pytest.mark.usefixtures("brief_flow")
def test_the_minimum_over_layers_exports(known_network: torch.nn.Module, tmp_path: Path) -> None:
    layered = Layers(network(), ["stem", "body"])
    fitted = fit_scores(layered, ABOUT, ["embedding_density"], frames())
    assert len(fitted["embedding_density"].flows) == 3  # type: ignore[arg-type]
    export(layered, ABOUT, fitted, tmp_path / "layers.onnx", size=(64, 128))
    assert Model(tmp_path / "layers.onnx")(frames()[0][0]).std() > 0


def test_an_ensemble_is_one_graph(tmp_path: Path) -> None:
    ensemble = Ensemble([network(0), network(1)], known=4)
    names = ("entropy", "mutual_information")
    card = export(ensemble, ABOUT, names, tmp_path / "both.onnx")
    assert card.scores == names
    maps = Model(tmp_path / "both.onnx").maps(frames()[0][0])
    assert maps["mutual_information"].max() > 0


@pytest.mark.parametrize(("wrap", "says"), [(Odin, "ODIN needs a gradient"), (McDropout, "MC dropout draws random")])
def test_what_cannot_be_exported_says_so_in_one_line(wrap: type, says: str, tmp_path: Path) -> None:
    inside = network()
    with pytest.raises(InputError, match=says) as refusal:
        export(wrap(inside), ABOUT, ("msp",), tmp_path / "no.onnx")
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


class SmallMasks(torch.nn.Module):
    """A mask network of two convolutions at stride 4: 5 queries whose classes depend on the whole image."""

    stride = 4
    multiple = 32

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem = torch.nn.Conv2d(3, 10, 4, 4)
        self.masks = torch.nn.Conv2d(10, 5, 3, padding=1)
        self.classes = torch.nn.Linear(10, 5 * 6)

    def forward(self, images: torch.Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs at a quarter of the size; 4 known classes, one more, "no object"."""
        height, width = images.shape[-2:]
        features = torch.relu(self.stem(pad_to_multiple(images, 32)))
        queries = 20 * self.classes(features.mean((2, 3))).unflatten(1, (5, 6))
        masks = 8 * self.masks(features)
        outputs = Outputs(semantic_map(queries, masks), features=features, masks=masks, queries=queries)
        return crop_outputs(outputs, height, width, 4)


@pytest.mark.parametrize(
    "how",
    [
        {"upsample": "logits", "size": (64, 96)},
        pytest.param({"flip_tta": True}, marks=pytest.mark.slow),
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"flip_tta": True, "size": (62, 90)}, marks=pytest.mark.slow),
    ],
)
def test_mask_scores_are_outputs_of_one_graph(how: dict, tmp_path: Path) -> None:
    names = sorted(MASK_SCORES)
    card = export(SmallMasks().eval(), ABOUT, names, tmp_path / "masks.onnx", **how)
    assert card.scores == tuple(names)
    assert ("flip_tta" in card.origin) == ("flip_tta" in how)
    image = frames()[1][0]
    maps = Model(tmp_path / "masks.onnx").maps(image)
    assert all(np.isfinite(each).all() and each.std() > 0 for each in maps.values())


def test_mirror_averaging_makes_a_mirrored_image_a_mirrored_map(known_network: torch.nn.Module) -> None:
    image = torch.from_numpy(frames()[0][0])[None]
    for size in (None, (62, 90)):
        detector = Detector(known_network, {"energy": SCORES["energy"]}, size=size, flip_tta=True).eval()
        plain = Detector(known_network, {"energy": SCORES["energy"]}, size=size).eval()
        with torch.inference_mode():
            found, other = detector(image)[0], detector(image.flip(2))[0]
            once, twice = plain(image)[0], plain(image.flip(2))[0].flip(2)
        assert torch.allclose(found, other.flip(2), atol=1e-4)
        assert torch.allclose(found, (once + twice) / 2, atol=1e-4)
        assert not torch.allclose(found, once, atol=1e-2)
