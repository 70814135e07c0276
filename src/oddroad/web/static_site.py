"""A page without a server: a folder of files in which the browser itself runs the detector."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from oddroad.errors import InputError
from oddroad.files import write_whole
from oddroad.inference.host_resize import HostResize
from oddroad.inference.onnx_graph import with_outputs
from oddroad.web.app import page_folder
from oddroad.web.detectors import load_detectors

VERSION = "1.30.0"
"""Of onnxruntime-web; the one whose maps were compared with ONNX Runtime's."""

ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"

SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package, as the npm registry states it."""

PARTS = ("dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm")
"""Files of the package that are copied."""

SERVER_ONLY = ("server.js", "calibrate.js", "results.js", "interface.js", "charts.js")
"""Files of the page that need a server."""

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
"""Of the page: nothing is fetched from elsewhere, and nothing is sent."""


def package(path: Path | None) -> bytes:
    """The package of onnxruntime-web, checked.

    Args:
        path: of the file; None to fetch it from the npm registry.

    Raises:
        InputError: if it cannot be had, or is another one.
    """
    try:
        if path is not None:
            data = path.read_bytes()
        else:
            with urllib.request.urlopen(ADDRESS, timeout=120) as answer:
                data = answer.read(100 * 2**20)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", error)
        raise InputError(
            f"cannot read {path or ADDRESS} ({reason}); fetch it where there is a network, "
            f"'npm pack onnxruntime-web@{VERSION}', and give it with --runtime"
        ) from None
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != SHA512:
        raise InputError(f"'{path or ADDRESS}' is not onnxruntime-web {VERSION}: its check sum is another one")
    return data


def build_site(models: Sequence[str], out: Path, runtime: Path | None = None, score: str | None = None) -> str:
    """Write the page, the detectors and the runtime into a folder; returns what was done, in words.

    Args:
        models: paths of oddroad .onnx files, or names of embedded ones: one, or two to be shown side by side.
        out: the folder; files in it that this does not write stay.
        runtime: the package of onnxruntime-web; fetched where None.
        score: of the detectors; their first where None.

    Raises:
        InputError: if a model, the package or the folder cannot be used.
    """
    detectors = load_detectors(models, score, "onnxruntime", threads=1)
    for model, detector in zip(models, detectors, strict=True):
        if detector.model.card.portable:
            raise InputError(
                f"'{model}' is a portable file, which needs resizing around it; build the page of the usual one"
            )
        if detector.roi.kind != "all":
            raise InputError(
                f"'{model}' was calibrated within {detector.roi.words}, which the page without a server does not "
                "know; calibrate it without --roi, or use 'oddroad web' without --build"
            )
    data = package(runtime)
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; expected a folder")
    page = (page_folder() / "index.html").read_text(encoding="utf-8")
    page = page.replace('<html lang="en">', '<html lang="en" data-backend="local">')
    page = page.replace(
        '<meta charset="utf-8">',
        f'<meta charset="utf-8">\n<meta http-equiv="content-security-policy" content="{POLICY}">',
    )
    write_whole(out / "index.html", page.encode(), "page")
    (out / "page").mkdir(exist_ok=True)
    for each in sorted(page_folder().iterdir()):
        if each.name not in (*SERVER_ONLY, "index.html"):
            shutil.copyfile(each, out / "page" / each.name)
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        for name in PARTS:
            part = opened.extractfile(f"package/{name}")
            assert part is not None
            write_whole(out / "runtime" / Path(name).name, part.read(), "runtime")
    told = []
    for number, detector in enumerate(detectors, 1):
        resize = HostResize.of(detector.model.card, detector.model.output_names)
        output, file = resize.asked([detector.score])[0], f"detector{number}.onnx"
        write_whole(out / file, with_outputs(detector.model.path.read_bytes(), [output]), "detector")
        about = {"file": file, "output": output, "resized": resize.size, "oddroad": version("oddroad")}
        told.append({**detector.about(), **about})
    write_whole(out / "detectors.json", json.dumps({"detectors": told}).encode(), "cards")
    size = sum(each.stat().st_size for each in out.rglob("*") if each.is_file()) / 2**20
    return (
        f"written: {out} ({size:.0f} MiB), with onnxruntime-web {VERSION} (MIT licence); serve it with any web server, "
        f"such as 'python -m http.server --directory {out}'"
    )
