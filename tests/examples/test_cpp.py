"""The C++ example, built and run: the regions that Python finds with the same engine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from oddroad import Model
from oddroad.inference.model import find_model
from oddroad.regions import find
from oddroad.synthetic.scenes import drive
from oddroad.types import Region

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"
openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built."""
    if missing := [each for each in ("cmake", "c++") if shutil.which(each) is None]:
        pytest.skip(f"no {' and no '.join(missing)} here to build the example with")
    folder = tmp_path_factory.mktemp("cpp")
    made = Path(openvino.__path__[0]) / "cmake"
    for words in (["-S", str(EXAMPLE), "-B", str(folder), f"-DOpenVINO_DIR={made}"], ["--build", str(folder)]):
        done = subprocess.run(["cmake", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr
    return folder / "detect"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A rendered scene with things on the road, as a file and as an array (H, W, 3)."""
    image = next(iter(drive(seed=1, frames=1))).image
    path = tmp_path_factory.mktemp("picture") / "scene.ppm"
    path.write_bytes(b"P6\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes())
    return path, image


def call(program: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return subprocess.run([str(program), *map(str, words)], capture_output=True, text=True)


def same(lines: list[str], expected: list[Region]) -> None:
    """Whether the printed regions are those, but for pixels that lie on the threshold."""
    assert len(lines) == len(expected)
    for line, region in zip(lines, expected, strict=True):
        words = line.split()
        np.testing.assert_allclose([int(each) for each in words[:4]], region.box, atol=1)
        assert int(words[5]) == pytest.approx(region.area, rel=0.005, abs=2)
        assert float(words[7]) == pytest.approx(region.mean, rel=1e-3, abs=1e-3)
        assert float(words[9]) == pytest.approx(region.peak, rel=1e-3, abs=1e-3)


def test_regions_are_those_of_python(program: Path, picture: tuple[Path, np.ndarray]) -> None:
    path, image = picture
    model = Model("default-fp32", "openvino")
    counts = set[int]()
    for threshold in (None, 0.0, -0.25, -1.0):
        expected = model.detect(image, threshold=threshold)
        done = call(program, find_model("default-fp32"), path, *([] if threshold is None else [threshold]))
        assert done.returncode == 0, done.stderr
        same(done.stdout.splitlines(), expected)
        counts.add(len(expected))
    assert max(counts) > 1
    apart = find(model(image), -0.25, None)  # the card joins parts of one object
    assert len(model.detect(image, threshold=-0.25)) < len(apart)
    assert len(counts) > 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.ppm", b"P3\n1 1\n255\n0 0 0\n", "is no binary PPM"),
        ("short.ppm", b"P6\n8 8\n255\nabc", "is cut short"),
        ("missing.ppm", None, "is no binary PPM"),
    ],
)
def test_other_pictures_are_refused(
    program: Path, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = call(program, find_model("default-fp32"), tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_model_without_a_card_is_refused(program: Path, tmp_path: Path, picture: tuple[Path, np.ndarray]) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no card")
    done = call(program, tmp_path / "other.onnx", picture[0])
    assert done.returncode == 2
    assert "has no oddroad card" in done.stderr
