"""No module outside oddroad.learn pulls in torch, nor anything else that is heavy."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import oddroad

ROOT = Path(oddroad.__file__).parent
RUNTIME = sorted(
    ".".join(("oddroad", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0] != "learn"
)
HEAVY = (
    "torch", "lightning", "transformers", "albumentations", "matplotlib", "scipy", "sklearn", "h5py", "pandas",
    "openvino", "onnx", "onnxruntime", "nncf", "av", "PIL", "mcap", "rosbags", "pycocotools", "supervision", "rich",
)  # fmt: skip


def loaded(code: str) -> list[str]:
    """Which heavy modules a Python program has loaded at its end."""
    program = f"import sys\n{code}\nprint(*[each for each in {HEAVY!r} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_runtime_loads_nothing_heavy() -> None:
    assert len(RUNTIME) > 15
    assert loaded("\n".join(f"import {name}" for name in RUNTIME)) == []


def test_this_test_can_fail() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed here")
    assert "torch" in loaded("import oddroad.learn.detector")


def test_every_verb_is_explained_without_torch() -> None:
    from oddroad.cli.main import VERBS

    code = "import contextlib, io\nfrom oddroad.cli.main import main\n"
    for verb in VERBS:
        code += "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        code += f"    main(['{verb}', '--help'])\n"
    assert loaded(code) == []
