"""Steps of runs/speed.sh: checkpoints with random weights, their INT8 forms, and the table of everything measured.

python runs/speed.py random OUT NETWORK ...
python runs/speed.py quantise FLOAT OUT DATA
python runs/speed.py table OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from oddroad.types import CITYSCAPES_CLASSES

PUBLIC = "torch eager on cpu"
"""The row that the others are compared with: the public form of a network, eager, in float32."""


def random_checkpoint(path: Path, name: str) -> None:
    """A network with random weights and batch norms that have seen noise, unless the file is there."""
    import torch

    from oddroad.learn.checkpoints.format import save_checkpoint
    from oddroad.learn.networks import NETWORKS

    if path.exists():
        return
    torch.manual_seed(0)
    network = NETWORKS[name]()
    with torch.no_grad():
        for _ in range(8):
            network.train()(torch.randn(2, 3, 256, 256))
    about = {"network": name, "arguments": {}, "normalisation": "imagenet", "classes": list(CITYSCAPES_CLASSES)}
    save_checkpoint(path, network.eval(), {**about, "licence": "random weights, for timing only"})


def quantise_only(path: Path, out: Path, data: Path) -> None:
    """The INT8 form of a float file by NNCF, not validated: for random weights, whose times alone count."""
    from dataclasses import replace

    import onnx

    from oddroad.inference.model import read_card
    from oddroad.learn.export.graph_passes import drop_output, fold_mean_into_padding
    from oddroad.learn.export.onnx import write
    from oddroad.learn.export.qdq_passes import make_fast
    from oddroad.learn.export.quantisers import outside, with_nncf
    from oddroad.learn.export.validation import calibration_sets

    model, card = onnx.load(path), read_card(path)
    assert card.size is not None
    fold_mean_into_padding(model, card.size)
    graph = with_nncf(model, calibration_sets(data, 4, card.size)["scenes"], outside(model))
    make_fast(graph)
    if "classes" in [each.name for each in graph.graph.output]:
        drop_output(graph, "classes")
    words = {"by": "nncf, for timing only: not validated"}
    write(graph, replace(card, weight_storage="int8", precision="int8", quantisation=words), out)


def whole(row: dict[str, Any]) -> float:
    """Milliseconds from the image to the map: the call of a file; network and score of a checkpoint."""
    return row["stages"]["model" if "model" in row["stages"] else "frame"]["median"]


def rows_of(out: Path) -> list[list[str]]:
    """The cells of the table, the header first."""
    header = ["network", "file", "engine", "precision", "network ms", "times", "image to map ms", "p95", "times"]
    header += ["frames/s, no overlap", "frames/s, overlays", "frames/s, jsonl", "peak MB", "others busy"]
    table = [header]
    for file in (*sorted(out.glob("network_*.json")), out / "cuda.json", out / "end_to_end.json"):
        if not file.exists():
            continue
        rows = json.loads(file.read_text())["rows"]
        public = {row["network"]: row for row in rows if row["engine"] == PUBLIC}
        for row in sorted(rows, key=lambda each: (each["network"], each["engine"] != PUBLIC, -whole(each))):
            alone, all_of_it = row["stages"].get("network", {}).get("median"), whole(row)
            ratios = ["", ""]
            if row["network"] in public:
                base = public[row["network"]]
                ratios[0] = f"{base['stages']['network']['median'] / alone:.2f}" if alone else ""
                ratios[1] = f"{whole(base) / all_of_it:.2f}"
            end = [
                row["fps_without_overlap"],
                row.get("fps_overlap_overlay", ""),
                row.get("fps_overlap_jsonl_only", ""),
            ]
            p95 = row["stages"]["model" if "model" in row["stages"] else "frame"]["p95"]
            cells = [row["network"], row["model"], row["engine"], row["precision"], alone and f"{alone:.2f}", ratios[0]]
            cells += [f"{all_of_it:.2f}", f"{p95:.2f}", ratios[1], *end, row["peak_mb"], row["cpu_contention"]]
            table.append([str(each) for each in cells])
    return table


def draw(out: Path) -> None:
    """Time of the network and peak memory of ENet, ERFNet and BiSeNetV2: the first paper's Figures 3 and 4 on this CPU.

    The paper shows PyTorch on a GPU with the memory that it reserves; on a CPU it is the peak of the process.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    networks = [each for each in ("enet", "erfnet", "bisenetv2") if (out / f"network_{each}.json").exists()]
    bars: dict[str, dict[str, tuple[float, float]]] = {}
    for name in networks:
        for row in json.loads((out / f"network_{name}.json").read_text())["rows"]:
            if row["model"].endswith((".2", ".2.int8")):  # stride 2: not the published logits
                continue
            title = f"{row['engine'].removesuffix(' on cpu')}, {row['precision'].removesuffix(' and float32')}"
            bars.setdefault(title, {})[name] = (row["stages"]["network"]["median"], row["peak_mb"])
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, which, title in zip(axes, (0, 1), ("network, ms an image", "peak memory, MB"), strict=True):
        for number, (label, values) in enumerate(bars.items()):
            places = [networks.index(name) + (number - len(bars) / 2 + 0.5) * 0.8 / len(bars) for name in values]
            axis.bar(places, [each[which] for each in values.values()], 0.8 / len(bars), label=label)
        axis.set_xticks(range(len(networks)), networks)
        axis.set_title(title, fontsize=9)
    axes[1].legend(frameon=False, fontsize=7)
    figure.savefig(out / "speed.png", dpi=100)
    plt.close(figure)


def main() -> None:
    """Do what the first word says."""
    verb, out, *names = sys.argv[1:]
    if verb == "random":
        for name in names:
            random_checkpoint(Path(out) / f"{name}.ckpt", name)
        return
    if verb == "quantise":
        quantise_only(Path(out), *map(Path, names))
        return
    table = rows_of(Path(out))
    lines = ["| " + " | ".join(row) + " |" for row in table]
    lines.insert(1, "|" + " --- |" * len(table[0]))
    draw(Path(out))
    (Path(out) / "speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    files = {
        each.stem: json.loads(each.read_text()) for each in sorted(Path(out).glob("*.json")) if each.stem != "speed"
    }
    for name in ("roofline", "tracks"):
        if (Path(out) / f"{name}.txt").exists():
            files[name] = json.loads((Path(out) / f"{name}.txt").read_text().splitlines()[-1])
    (Path(out) / "speed.json").write_text(json.dumps(files) + "\n")
    print(json.dumps(files))


if __name__ == "__main__":
    main()
