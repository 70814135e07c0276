"""The browser: ``detector.onnx`` as it is, run by onnxruntime-web's WebAssembly in Node, one thread.

The INT8 form for the browser is oddroad's own INT8 file, which onnxruntime-web runs to the bit as the native one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

PACKAGES = ("numpy==2.4.6",)
NODE_PACKAGES = ("onnxruntime-web@1.30.0",)
WITH_DEPENDENCIES = False
MEGABYTES = 300
FORMS = ("float32",)

PROGRAM = """
const fs = require('fs'), ort = require('onnxruntime-web');
ort.env.wasm.numThreads = 1;
const lines = require('readline').createInterface({ input: process.stdin });
let session;
lines.on('line', async line => {
  try {
    const { open, image, shape, outputs, result } = JSON.parse(line);
    if (open) { session = await ort.InferenceSession.create(open); console.log('{}'); return; }
    const bytes = fs.readFileSync(image);
    const pixels = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const found = await session.run({ image: new ort.Tensor('float32', pixels, shape) }, outputs);
    const shapes = outputs.map((name, number) => {
      fs.writeFileSync(result + number, Buffer.from(found[name].data.buffer, found[name].data.byteOffset,
        found[name].data.byteLength));
      return found[name].dims;
    });
    console.log(JSON.stringify({ shapes }));
  } catch (error) { console.log(JSON.stringify({ error: String(error) })); }
});
"""


def refusal() -> str:
    """Why this machine cannot make the file."""
    return (
        "" if shutil.which("node") else "it is compared in onnxruntime-web itself, which needs Node, and there is none"
    )


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """The portable file is the runtime's own."""
    shutil.copyfile(portable, "detector.onnx")


def open_file(folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
    """Run by onnxruntime-web in Node; files pass the arrays, which is part of the time."""
    import json
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    import numpy as np

    node = subprocess.Popen(
        ["node", "-e", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
        cwd=sys.prefix,
    )  # fmt: skip
    passed = Path(tempfile.mkdtemp(dir=folder))

    def ask(**request: Any) -> dict[str, Any]:
        assert node.stdin is not None
        assert node.stdout is not None
        node.stdin.write(json.dumps(request) + "\n")
        node.stdin.flush()
        answer = json.loads(node.stdout.readline() or '{"error": "Node ended"}')
        if "error" in answer:
            raise RuntimeError(f"onnxruntime-web: {answer['error']}")
        return answer

    ask(open=f"{folder}/detector.onnx")

    def run(image: Any) -> list[Any]:
        np.ascontiguousarray(image, np.float32).tofile(passed / "image")
        given = {"image": str(passed / "image"), "shape": list(image.shape), "result": str(passed / "result")}
        shapes = ask(outputs=outputs, **given)["shapes"]
        return [np.fromfile(passed / f"result{number}", np.float32).reshape(each) for number, each in enumerate(shapes)]

    return run
