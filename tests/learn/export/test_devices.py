"""Files for other runtimes: refused early, converted without a network, compared, and kept only if they are right."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.files import sha256_of
from oddroad.inference.model import find_model
from oddroad.learn.export import devices, environments
from oddroad.learn.export.devices import Comparison, export_for
from oddroad.learn.export.environments import InEnvironment, environment_folder, find_environment, python_of
from oddroad.learn.export.opset13 import PLAIN
from oddroad.learn.export.portable import export_portable
from oddroad.learn.export.targets import TARGETS, check_target, litert, rknn, tensorrt, web

devices_pictures = devices.pictures_of

FOLDER = Path(devices.__file__).parent / "targets"

OPEN = """
FORMS, PACKAGES, WITH_DEPENDENCIES, MEGABYTES = ("float32", "int8"), ("numpy==0",), False, 1
def refusal(): return ""
def convert(portable, folder, form, pictures):
    import shutil
    shutil.copyfile(portable, "detector.bin")
    open("left.txt", "w").write(str(pictures.shape))
    {convert}
def open_file(folder, outputs, threads):
    import onnxruntime
    session = onnxruntime.InferenceSession(folder + "/detector.bin")
    def run(image):
        maps = session.run(outputs, {{"image": image}})
        return {run}
    return run
"""


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    out = tmp_path_factory.mktemp("twin") / "twin.onnx"
    export_portable(find_model("default-fp32"), out)
    return out


@pytest.fixture
def runtime(tmp_path, monkeypatch, frames):
    """A function that makes a runtime of our own, which this environment has, the only one there is."""
    pictures = [(each.image, each.label) for each in frames[-2:]]
    monkeypatch.setattr(devices, "pictures_of", lambda data, count, shift: pictures)
    monkeypatch.setattr(devices.metadata, "version", lambda name: "1")

    def made(convert="pass", run="maps"):
        path = tmp_path / "target.py"
        path.write_text(OPEN.format(convert=convert, run=run))
        module = types.ModuleType("target")
        exec(path.read_text(), module.__dict__)
        module.__file__ = str(path)
        monkeypatch.setitem(TARGETS, "ours", module)
        return module

    return made


def exported(source, out, form="float32"):
    return export_for("ours", source, out, form, python=Path(sys.executable))


def test_a_right_file_is_kept_with_what_was_found(twin, runtime, tmp_path):
    runtime()
    out = tmp_path / "out"
    found = exported(twin, out, "int8")
    assert sorted(each.name for each in out.iterdir()) == ["detector.bin", "detector.json"]
    beside = json.loads((out / "detector.json").read_text())
    assert beside["device"] == found
    assert (found["largest"], found["deviation"], found["form"]) == (0, 0, "int8")
    assert found["ap"] == found["ap_onnxruntime"] > 0.01
    assert found["speed"] > 0
    assert beside["file"] == "detector.bin"
    assert beside["sha256"] == found["files"]["detector.bin"] == sha256_of(out / "detector.bin")
    assert beside["card"]["portable"]
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".out")] == []


@pytest.mark.parametrize(
    ("convert", "run", "message"),
    [
        ("pass", "[each + 1 for each in maps]", r"ours float32 gives other maps: off by 0\.\d+ of their standard"),
        ("pass", "[each * float('nan') for each in maps]", "gives other maps: off by inf"),
        ("pass", "[each[..., 1:] for each in maps]", r"gives outlier_head as \(1, 1, 80, 159\); expected"),
        ("raise ValueError('no such layer')", "maps", "the converter failed: ValueError: no such layer"),
        ("import os; os._exit(3)", "maps", "the converter ended"),
        ("import os; os.system('pip install spies')", "maps", "wanted to run 'pip install spies', which it may not"),
        (
            "import sys, subprocess; subprocess.run([sys.executable, '-m', 'pip', 'download', 'spies'])",
            "maps",
            "which it may not",
        ),
        (
            "import urllib.request; urllib.request.urlopen('http://192.0.2.1')",
            "maps",
            "wanted the address of 127.0.0.1",
        ),
        ("import socket; socket.getaddrinfo('logs.example', 80)", "maps", "wanted the address of logs.example"),
    ],
)
def test_a_wrong_file_is_not_kept(twin, runtime, tmp_path, convert, run, message):
    runtime(convert, run)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=message) as caught:
        exported(twin, out)
    assert "\n" not in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["target.py"]


def test_what_comparisons_refuse():
    right = {"largest": 0.1, "deviation": 0.005, "ap": 0.8, "ap_onnxruntime": 0.801, "speed": 1.0}
    assert Comparison(**right).refusal("float32") == ""
    assert "costs AP: 79.0 instead of 80.1" in Comparison(**right | {"ap": 0.79}).refusal("float32")
    assert Comparison(**right | {"ap": 0.79}).refusal("int8") == ""
    assert "off by 0.02" in Comparison(**right | {"deviation": 0.02}).refusal("float32")
    assert Comparison(**right | {"deviation": 0.02}).refusal("float16") == ""
    assert "costs AP" in Comparison(**right | {"ap": float("nan")}).refusal("int8")


def test_pictures_of_ones_own_are_compared_and_the_drive_is_judged(twin, runtime, tmp_path, monkeypatch, clip, frames):
    drive = frames[-2:] * 8
    monkeypatch.setattr(devices, "motorway_drive", lambda **given: iter(drive))
    mine, others = (devices_pictures([str(clip)], 3, shift) for shift in (0, 1))
    assert [label for _, label in (*mine, *others)] == [None] * 4
    assert not any(np.array_equal(a, b) for a, _ in mine for b, _ in others)
    runtime()
    monkeypatch.setattr(devices, "pictures_of", devices_pictures)
    monkeypatch.setattr(devices, "PICTURES", 2)
    found = export_for("ours", twin, tmp_path / "out", data=[str(clip)], python=Path(sys.executable))
    assert found["pictures"] == str(clip)
    assert found["ap"] == found["ap_onnxruntime"] > 0.01
    with pytest.raises(InputError, match=r"none\.mp4"):
        devices_pictures([str(tmp_path / "none.mp4")], 2, 0)


def test_without_consent_nothing_is_installed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ODDROAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(environments.subprocess, "run", lambda *given, **how: pytest.fail("it ran something"))
    for name, target in TARGETS.items():
        monkeypatch.setattr(target, "refusal", lambda: "")
        words = ["--for", name, "--precision", target.FORMS[0], "--out", str(tmp_path / "out")]
        assert main(["export", "default-fp32", *words]) == 2
        said = capsys.readouterr().err
        assert f"--for {name} needs {target.PACKAGES[0]}" in said
        assert f"some {target.MEGABYTES} MB" in said
        assert "add --install" in said
        assert str(environment_folder(name, target)) in said
    assert list(tmp_path.iterdir()) == []


def test_an_environment_is_made_once_and_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("ODDROAD_CACHE", str(tmp_path / "cache"))
    ran, said = [], []
    code = [0]

    def run(words, **how):
        ran.append(words)
        environment_folder("web", web).mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(words, code[0], "", "no space left")

    monkeypatch.setattr(environments.subprocess, "run", run)
    code[0] = 1
    with pytest.raises(InputError, match="ended with 1: no space left"):
        find_environment("web", web, None, True, said.append)
    assert not environment_folder("web", web).exists()
    code[0] = 0
    ran.clear()
    found = find_environment("web", web, None, True, said.append)
    assert found == python_of(environment_folder("web", web))
    assert ran[0][1:3] == ["-m", "venv"]
    assert ran[1][-2:] == ["--no-deps", "numpy==2.4.6"]
    assert ran[2][0] == "npm"
    assert "--ignore-scripts" in ran[2]
    assert all(f"  {' '.join(words)}" in said for words in ran)
    ran.clear()
    assert find_environment("web", web, None, False, said.append) == found
    assert ran == []
    with pytest.raises(InputError, match="no interpreter"):
        find_environment("web", web, tmp_path / "none", False, said.append)


def test_machines_that_cannot_are_told_before_anything_is_loaded(tmp_path, monkeypatch, capsys):
    words = ["export", "a.ckpt", "--size", "64x64", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(tensorrt.shutil, "which", lambda name: None)
    monkeypatch.setattr(rknn.platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(litert.sys, "version_info", (3, 14, 0))
    for name, message in (
        ("tensorrt", "no NVIDIA GPU or driver here"),
        ("rknn", "runs on Linux on x86-64 and ARM64"),
        ("litert", "runs on Python 3.10 to 3.12"),
        ("web", "needs Node, and there is none"),
    ):
        assert main([*words, "--for", name, "--precision", TARGETS[name].FORMS[0]]) == 2
        assert f"--for {name} cannot be done here: " in (said := capsys.readouterr().err)
        assert message in said
    assert main([*words, "--for", "ncnn", "--precision", "int8"]) == 2
    assert "--for ncnn has no int8 that was shown right; pass --precision with one of" in capsys.readouterr().err
    assert main([*words, "--install"]) == 2
    assert "--install, --python and --precision float16 are for --for RUNTIME" in capsys.readouterr().err


def test_refusals_load_nothing_heavy():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'onnxruntime', 'cv2', 'numpy']))\n"
        "from oddroad.learn.export.environments import find_environment\n"
        "from oddroad.learn.export.targets import TARGETS, check_target\n"
        "print(len([each.refusal() for each in TARGETS.values()]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(len(TARGETS)), done.stderr


def test_files_of_targets_stand_alone():
    names = {each.stem for each in FOLDER.glob("*.py")} - {"__init__"}
    assert names == {*TARGETS, "worker"}
    for name in names:
        tree = ast.parse((FOLDER / f"{name}.py").read_text())
        for node in tree.body:
            modules = (
                [each.name for each in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert {each.split(".")[0] for each in modules} <= sys.stdlib_module_names | {"__future__"}, name
    for target in TARGETS.values():
        assert all("==" in each for each in target.PACKAGES)
        assert set(target.FORMS) <= set(devices.LIMITS) & set(devices.MOST_COST)


def test_an_unknown_runtime_or_a_folder_that_is_there(twin, runtime, tmp_path):
    with pytest.raises(InputError, match="did you mean 'ncnn'"):
        check_target("nccn", "float32")
    runtime()
    with pytest.raises(InputError, match="is there already; give the name of a new folder"):
        exported(twin, tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        exported(twin, tmp_path / "none" / "out")


def test_operators_of_the_matrix_are_those_of_portable_files():
    spec = importlib.util.spec_from_file_location("matrix", Path(__file__).parents[3] / "benchmarks" / "devices.py")
    matrix = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(matrix)
    seen = set()
    for title, model in matrix.operators().items():
        kinds = {node.op_type for node in model.graph.node}
        assert (kinds <= PLAIN) is not title.startswith("not portable: "), title
        seen |= kinds & PLAIN
    assert {"Resize", "Clip", "Conv", "ConvTranspose", "Softmax", "ReduceMax"} <= seen


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ncnn", "mnn"])
def test_real_runtimes(twin, tmp_path, name):
    folder = environment_folder(name, TARGETS[name])
    if not (folder / "ready").is_file():
        pytest.skip(f"no environment of {name}; 'oddroad export default-fp32 --for {name} --install' makes it")
    found = export_for(name, twin, tmp_path / "out")
    assert found["deviation"] < 1e-4
    assert np.isclose(found["ap"], found["ap_onnxruntime"], atol=1e-4)
    with InEnvironment(TARGETS[name], python_of(folder)) as worker:
        assert worker("versions", names=["numpy"]) == {"numpy": "2.4.6"}
