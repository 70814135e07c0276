"""The verb ``demo``."""

from __future__ import annotations

from pathlib import Path

from oddroad.cli.common import progress_bar, say
from oddroad.errors import counted


def demo(
    out: Path = Path("demo"), seed: int = 0, frames: int = 150, model: str = "default", engine: str = "auto"
) -> None:
    """Detect on a real drive with rendered anomalies on the road, and write a video, a contact sheet and figures.

    Example: oddroad demo --out demo --seed 3

    Args:
        out: folder for demo.mp4, contact_sheet.jpg and demo.json.
        seed: chooses which thing lies where.
        frames: length of the drive, 150 at most.
        model: an oddroad .onnx file, or "default".
        engine: what runs the network: auto, onnxruntime, openvino.
    """
    from oddroad.inference.model import Model
    from oddroad.synthetic.demo import demo as run_demo

    detector = Model(model, engine)
    with progress_bar(frames) as advance:
        values = run_demo(detector, out, seed, frames, progress=advance)
    say(
        f"in {values['frames_with_a_thing_found']} of {counted(values['frames_with_a_thing'], 'frame')} with a thing "
        f"of 200 pixels or more one is marked; elsewhere {counted(values['regions_elsewhere'], 'region')}"
    )
    say(
        f"AP {100 * values['ap']:.1f} %, FPR95 {100 * values['fpr95']:.2f} % "
        f"(anomaly pixels: {100 * values['prevalence']:.2f} %), {values['fps']:.1f} FPS on "
        f"{values['engine']} while the things were rendered beside it ('oddroad benchmark' measures alone)"
    )
    say(f"look at {out / 'contact_sheet.jpg'} and {out / 'demo.mp4'}")
