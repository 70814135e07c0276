"""Networks: equal to the published ones, and alike in all that the rest of the house relies on."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from golden import GOLDEN, golden, golden_input, golden_state, golden_weight, needs_golden
from torch import nn

from oddroad.benchmarking.profile import ATTENTION
from oddroad.errors import InputError
from oddroad.inference.engines import ENGINES
from oddroad.learn.checkpoints.format import load_network, save_checkpoint
from oddroad.learn.export.module_passes import fold_batchnorm
from oddroad.learn.export.onnx import export
from oddroad.learn.export.parity import TOLERANCE
from oddroad.learn.networks import NETWORKS, enet
from oddroad.learn.networks.blocks import Classifier, IsoMax, average_2x2
from oddroad.learn.networks.enet import max_pool_corners, max_unpool_corners
from oddroad.learn.networks.resynthesised import METHODS

GOLDEN_NAMES = {
    "erfnet": "erfnet",
    "enet": "enet",
    "bisenetv1": "bisenetv1",
    "bisenetv2": "bisenetv2",
    "ddrnet23_slim": "ddrnet23slim",
}
GAINS = {
    "erfnet": 0.8, "erfnet_lite": 0.8, "efficientnet_lite0": 1.0, "enet": 0.75, "bisenetv1": 0.9, "bisenetv2": 1.0,
    "ddrnet23_slim": 0.85, "pidnet_s": 0.7, "mask2former_small": 0.85, "mask2anomaly_small": 0.85,
    "mask2anomaly_lite": 1.0,
}  # fmt: skip
PARAMETERS = {
    "erfnet": 2_064_191, "erfnet_lite": 1_383_138, "efficientnet_lite0": 3_103_059, "efficientnet_lite1": 3_867_731,
    "efficientnet_lite2": 4_505_235, "enet": 351_660, "bisenetv1": 13_275_539, "bisenetv2": 3_358_627,
    "ddrnet23_slim": 5_695_987, "pidnet_s": 7_625_715,
    "mask2anomaly_frozen": 46_376_212, "mask2anomaly_lean": 46_376_212,
    "mask2former": 44_007_700, "mask2anomaly": 46_376_212, "mask2former_swin": 47_405_966,
    "mask2anomaly_swin": 49_774_478, "mask2former_small": 5_950_468, "mask2anomaly_small": 6_000_388,
    "mask2anomaly_lite": 3_335_524,
    "image_resynthesis": 5_973_955, "synthcp": 5_974_582, "synboost": 5_997_315,
}  # fmt: skip
LARGER = ("efficientnet_lite1", "efficientnet_lite2")
AROUND = tuple(METHODS)
QUICK = [
    name
    for name in NETWORKS
    if name not in (*LARGER, *AROUND) and (not name.startswith("mask2") or name.endswith(("_small", "_lite")))
]
"""All but networks of full size whose code is that of the small ones, and those around a network; see also
test_mask2former.py and learn/resynthesis/."""


def lively(name: str, **arguments) -> nn.Module:
    """A network with deterministic weights that neither explode nor die out."""
    network = NETWORKS[name](**arguments).eval()
    state = {
        key: torch.from_numpy(np.asarray(golden_weight(key, tuple(each.shape), GAINS[name])))
        for key, each in network.state_dict().items()
    }
    network.load_state_dict(state)
    return network


def training_heads(network: nn.Module, images: torch.Tensor):
    """Outputs with the heads for training, everything else in evaluation mode."""
    network.eval()
    network.training = True
    with torch.inference_mode():
        return network(images)


def enlarged(logits: torch.Tensor, factor: int) -> np.ndarray:
    if factor == 1:
        return logits.numpy()
    return F.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=False).numpy()


@needs_golden
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_equal_to_the_published_network(name):
    file = GOLDEN_NAMES[name]
    expected, state = golden(f"net_{file}.npz"), golden_state(file)
    network = NETWORKS[name](classes=expected["logits"].shape[1], auxiliary=True)
    own = network.state_dict()
    assert {key: tuple(each.shape) for key, each in own.items()} == {key: np.shape(v) for key, v in state.items()}
    network.load_state_dict({key: torch.from_numpy(np.asarray(each)) for key, each in state.items()})
    images = torch.from_numpy(golden_input(file))
    outputs = training_heads(network, images)
    enlarge_by = 1 if name == "ddrnet23_slim" else network.stride  # that network's golden logits stay at stride 8
    step, tolerance = int(expected["stride"]), 1e-4 * float(expected["max_abs"])
    assert np.abs(enlarged(outputs.logits, enlarge_by)[..., ::step, ::step] - expected["logits"]).max() < tolerance
    heads = [key for key in expected if key.startswith("aux_") and expected[key].ndim == 4]
    if name == "erfnet":
        heads = ["encoder_logits"]
    assert len(outputs.auxiliary) == len(heads)
    for key, head in zip(heads, outputs.auxiliary, strict=True):
        step = 1 if key == "encoder_logits" else int(expected["aux_stride"])
        factor = 1 if name in ("erfnet", "ddrnet23_slim") else images.shape[-1] // head.shape[-1]
        found = enlarged(head, factor)[..., ::step, ::step]
        assert np.abs(found - expected[key]).max() < 1e-4 * np.abs(expected[key]).max()


def golden_photograph(file: str) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """The real photograph of the golden logits, as its network sees it."""
    from PIL import Image

    path = GOLDEN.parent / "data/benchmarks/RoadAnomaly_jpg/frames/animals01_Guiguinto_railway_station_Calves.jpg"
    if not path.is_file():
        pytest.skip("the real photograph is not here")
    image = Image.open(path).convert("RGB").resize((1024, 512), Image.Resampling.BILINEAR)
    images = torch.from_numpy(np.asarray(image, np.float32) / np.float32(255)).permute(2, 0, 1)[None].contiguous()
    expected = golden(file)
    if abs(float(images.double().sum()) - float(expected["input_sum"])) > 1:
        pytest.skip("this JPEG decoder gives other pixels than the golden one")
    return images, expected


@needs_golden
def test_real_erfnet_weights():
    path = GOLDEN.parent / "data/weights/erfnet_cityscapes_20.pth"
    if not path.is_file():
        pytest.skip("the real weights are not here")
    images, expected = golden_photograph("real_erfnet_logits.npz")
    network = NETWORKS["erfnet"](classes=20, auxiliary=True).eval()
    network.load_state_dict({k: v.float() for k, v in torch.load(path, weights_only=True).items()})
    with torch.inference_mode():
        found = network(images).logits[..., ::8, ::8].numpy()
    assert np.abs(found - expected["logits"]).max() < 2e-3


@needs_golden
def test_real_enet_weights():
    images, expected = golden_photograph("real_enet_logits.npz")
    network = NETWORKS["enet"](classes=20).eval()
    held = torch.load(GOLDEN / "enet_cityscapes_void.pth", weights_only=True, map_location="cpu")["state_dict"]
    network.load_state_dict({key.removeprefix("module."): each for key, each in held.items()})
    with torch.inference_mode():
        off = np.abs(network(images).logits[..., ::8, ::8].numpy() - expected["logits"])
    assert (off < 2e-3).mean() >= 0.995
    assert off.max() < 1.0


@pytest.mark.parametrize("name", NETWORKS)
def test_number_of_parameters(name):
    network = NETWORKS[name]()
    assert sum(each.numel() for each in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", [name for name in PARAMETERS if not name.startswith("mask2") and name not in AROUND])
def test_isomax_takes_the_place_of_the_classifier_alone(name):
    network = NETWORKS[name](classes=5, auxiliary=True, isomax=8).train()
    outputs = network(torch.rand(2, 3, 64, 128))
    assert outputs.logits.shape[1] == 5
    assert outputs.features.shape[1] == 8
    assert (outputs.logits <= 0).all()
    assert all(each.shape[1] == 5 for each in outputs.auxiliary)
    again = network.isomax(outputs.features)
    assert torch.allclose(again, outputs.logits)
    outputs.logits.square().mean().backward()
    assert network.isomax.prototypes.grad.abs().sum() > 0


@pytest.mark.parametrize("name", QUICK)
def test_shapes_heads_and_backward(name):
    torch.manual_seed(0)
    network = NETWORKS[name](classes=5, outlier=True, auxiliary=True)
    outputs = network.train()(torch.rand(2, 3, 64, 128))
    rows, columns = 64 // network.stride, 128 // network.stride
    assert outputs.logits.shape == (2, 5, rows, columns)
    assert outputs.outlier.shape == (2, rows, columns)
    assert outputs.features.shape[2:] == (rows, columns)
    assert all(each.shape[:2] == (2, 5) for each in outputs.auxiliary)
    parts = [outputs.logits, outputs.outlier, *outputs.auxiliary]
    parts += [] if outputs.boundary is None else [outputs.boundary]
    sum(each.square().mean() for each in parts).backward()
    assert [key for key, each in network.named_parameters() if each.grad is None] == []
    outputs = network.eval()(torch.rand(1, 3, 64, 128))
    assert outputs.auxiliary == ()
    assert outputs.boundary is None
    bare = NETWORKS[name](classes=5)
    assert bare.train()(torch.rand(2, 3, 64, 128)).auxiliary == ()
    assert bare.eval()(torch.rand(1, 3, 64, 128)).outlier is None


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("size", [(97, 131), (64, 65), (5, 7)])
def test_odd_sizes_are_padded_and_cropped_without_drift(name, size):
    network = lively(name, classes=4, outlier=True)
    images = torch.rand(1, 3, *size)
    height, width = (side + -side % network.multiple for side in size)
    padded = F.pad(images, (0, width - size[1], 0, height - size[0]), mode="replicate")
    with torch.inference_mode():
        found, whole = network(images), network(padded)
    rows, columns = -(-size[0] // network.stride), -(-size[1] // network.stride)
    for part, of in ((found.logits, whole.logits), (found.features, whole.features), (found.outlier, whole.outlier)):
        assert part.shape[-2:] == (rows, columns)
        assert torch.equal(part, of[..., :rows, :columns])


@pytest.mark.parametrize("name", QUICK)
def test_save_and_load(name, tmp_path):
    network = lively(name, classes=4, outlier=True, auxiliary=True)
    about = {"network": name, "arguments": {"classes": 4, "outlier": True, "auxiliary": True}, "classes": list("abcd")}
    save_checkpoint(tmp_path / "a.ckpt", network, about)
    loaded, read = load_network(tmp_path / "a.ckpt")
    assert read == about
    assert not loaded.training
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(images).logits, loaded(images).logits)


@pytest.mark.parametrize("name", QUICK)
def test_folding_keeps_the_function(name):
    network = lively(name)
    images = torch.rand(1, 3, 2 * network.multiple, 2 * network.multiple)
    folded = fold_batchnorm(network, images)
    with torch.inference_mode():
        before, after = network(images).logits, folded(images).logits
    assert (before - after).abs().max() < 1e-4 * before.abs().max()
    count = [sum(isinstance(each, nn.BatchNorm2d) for each in net.modules()) for net in (network, folded)]
    assert count[1] == 0 if name.startswith("erfnet") else count[1] < 0.45 * count[0]


@pytest.mark.parametrize(
    ("name", "size"),
    [("erfnet_lite", None), ("enet", None), ("mask2anomaly_small", (64, 128))]  # those with operators of their own
    + [
        pytest.param(name, size, marks=pytest.mark.slow)
        for name in QUICK
        for size in (None, (64, 128))
        if not name.startswith("mask2") and (name, size) not in (("erfnet_lite", None), ("enet", None))
    ],
)
def test_export_is_equal_in_both_engines(name, size, tmp_path):
    network = lively(name, classes=5, outlier=True)
    about = {"network": name, "normalisation": "unit", "classes": list("abcd")}
    out = tmp_path / "a.onnx"
    card = export(network, about, ["max_logit", "void", "joint"], out, size=size)
    shares = [value for key, value in card.parity.items() if key.endswith("beyond")]
    assert all(value <= getattr(network, "discontinuous", 0) for value in shares)
    differences = [
        value for key, value in card.parity.items() if key.startswith(tuple(ENGINES)) and "beyond" not in key
    ]
    assert len(differences) == 4
    assert shares or max(differences) <= TOLERANCE
    nodes = onnx.load(out).graph.node
    slow = {"MaxUnpool", "ScatterND", "ScatterElements"} | (set() if name.startswith("mask2") else {"Softmax"})
    assert not slow & {node.op_type for node in nodes}
    attention = {node.op_type for node in nodes if node.name.startswith(ATTENTION)}
    assert ({"GridSample", "MatMul", "Softmax"} <= attention) == name.startswith("mask2")
    assert not attention or name.startswith("mask2")


def test_networks_of_one_size_say_so(tmp_path):
    about = {"network": "mask2anomaly_small", "classes": list("abcd")}
    with pytest.raises(InputError, match="mask2anomaly_small runs at one size only"):
        export(NETWORKS["mask2anomaly_small"](classes=4), about, ["mask2anomaly"], tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["erfnet", "enet"])
def test_export_at_stride_2(name, tmp_path):
    network = lively(name, classes=5, outlier=True, stride=2)
    about = {"network": name, "normalisation": "unit", "classes": list("abcd")}
    card = export(network, about, ["max_logit", "void"], tmp_path / "a.onnx", size=(32, 64))
    assert card.stride == 2


@pytest.mark.parametrize("name", ["erfnet", "enet"])
def test_stride_2_averages_the_published_logits(name):
    full, half = lively(name, classes=7, outlier=True), lively(name, classes=7, outlier=True, stride=2)
    images = torch.rand(1, 3, 48, 80)
    with torch.inference_mode():
        fine, coarse = full(images), half(images)
    assert coarse.logits.shape == (1, 7, 24, 40)
    assert torch.allclose(F.avg_pool2d(fine.logits, 2), coarse.logits, atol=1e-5 * float(fine.logits.abs().max()))
    assert torch.equal(fine.features[..., ::2, ::2], coarse.features)
    assert torch.equal(fine.features[..., 1::2, 1::2], coarse.features)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 2, 0, 0), (3, 2, 1, 1)])
def test_average_2x2(shape, bias):
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(6, 4, *shape, bias=bias)
    x = torch.randn(2, 6, 5, 7)
    assert torch.allclose(F.avg_pool2d(layer(x), 2), average_2x2(x, layer), atol=1e-6)


@needs_golden
def test_enet_in_8_bits_is_the_published_function_in_8_bits(monkeypatch):
    """With the output of every layer rounded to few values, so that ties are everywhere, both forms still agree."""
    state = {key: torch.from_numpy(np.asarray(each)) for key, each in golden_state("enet").items()}
    network = NETWORKS["enet"]().eval()
    network.load_state_dict(state)
    for each in network.modules():
        if isinstance(each, (nn.Conv2d, nn.BatchNorm2d, nn.PReLU, nn.ReLU)):
            each.register_forward_hook(lambda module, given, result: (result * 4).round().clamp(-128, 127) / 4)
    images = torch.from_numpy(golden_input("enet"))
    with torch.inference_mode():
        ours = network(images).logits
        monkeypatch.setattr(enet, "max_pool_corners", lambda x: F.max_pool2d(x, 2, return_indices=True))
        monkeypatch.setattr(enet, "max_unpool_corners", lambda x, indices: F.max_unpool2d(x, indices, 2))
        published = network(images).logits
    assert torch.equal(ours, published)


@pytest.mark.parametrize("values", ["continuous", "ties", "flat"])
def test_unpooling_by_masks_is_max_unpooling(values):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 12, 18)
    if values == "ties":
        x = F.max_pool2d(x.round(), 3, 1, 1)
    elif values == "flat":
        x = torch.zeros_like(x)
    largest, indices = F.max_pool2d(x, 2, return_indices=True)
    found, masks = max_pool_corners(x)
    assert torch.equal(found, largest)
    y = torch.randn(2, 5, 6, 9)
    assert torch.equal(max_unpool_corners(y, masks), F.max_unpool2d(y, indices, 2))


def test_isomax_is_minus_the_scaled_distance():
    torch.manual_seed(0)
    head = IsoMax(16, 19)
    nn.init.constant_(head.distance_scale, -2.5)
    features = torch.randn(2, 16, 3, 4)
    unit = F.normalize(features.permute(0, 2, 3, 1).reshape(-1, 16).double())
    distance = torch.cdist(unit, F.normalize(head.prototypes.double()), compute_mode="donot_use_mm_for_euclid_dist")
    expected = -2.5 * distance.view(2, 3, 4, 19).permute(0, 3, 1, 2)
    assert torch.allclose(head(features).double(), expected, atol=1e-6)
    network = NETWORKS["erfnet"](classes=19, isomax=16)
    outputs = network(torch.rand(2, 3, 32, 32))
    assert outputs.features.shape == (2, 16, 32, 32)
    assert outputs.logits.shape == (2, 19, 32, 32)
    outputs.logits.sum().backward()
    assert network.isomax.distance_scale.grad.abs() > 0


@needs_golden
def test_isomax_meets_the_golden_values():
    arrays = golden("losses_scores.npz")
    head = IsoMax(16, 19)
    head.prototypes.data = torch.from_numpy(arrays["iso_prototypes"])
    head.distance_scale.data = torch.from_numpy(arrays["iso_distance_scale"]).reshape(1)
    with torch.inference_mode():
        found = head(torch.from_numpy(arrays["iso_features"])).numpy()
    assert np.abs(found - arrays["iso_logits"]).max() < 1e-5


class TestClassifier:
    def test_logits_that_rise_together_keep_their_differences_in_16_bits(self) -> None:
        torch.manual_seed(0)
        plain, last = nn.Conv2d(8, 5, 1), Classifier(8, 5, 1)
        last.load_state_dict(plain.state_dict())
        x = torch.rand(1, 8, 4, 4)
        for each in (plain, last):
            each.bias.data += 600  # all classes alike
        exact = plain(x)
        with torch.autocast("cpu", torch.bfloat16):
            rounded, kept = plain(x), last(x.bfloat16())
        assert rounded.dtype == torch.bfloat16
        assert kept.dtype == torch.float32
        centred = [(each - each.mean(1, keepdim=True)).float() for each in (exact, rounded, kept)]
        assert (centred[1] - centred[0]).abs().max() > 0.5
        assert (centred[2] - centred[0]).abs().max() < 0.02
        assert torch.equal(last(x), exact)

    def test_operations_can_be_counted_without_computing(self) -> None:
        network = NETWORKS["ddrnet23_slim"]().eval().to("meta")
        assert network(torch.zeros(1, 3, 64, 128, device="meta")).logits.shape == (1, 19, 8, 16)

    @pytest.mark.parametrize("name", ["ddrnet23_slim", "pidnet_s", "bisenetv1", "bisenetv2", "erfnet_lite"])
    def test_the_networks_end_in_it(self, name: str) -> None:
        network = NETWORKS[name](outlier=True)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            outputs = network.eval()(torch.zeros(1, 3, 64, 64))
        assert outputs.logits.dtype == torch.float32
        assert outputs.outlier.dtype == torch.float32
