"""Two disjoint random halves of the COCO images as objects to paste, S1 and S2, beside links to the scenes.

    python runs/mask2anomaly_subsets.py DATA OUT

Writes OUT with links to DATA's cityscapes_small and camvid, and ``coco_s1`` and ``coco_s2``. Objects of the classes
held out for validation stay in both, so that every run is validated on the same objects.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from oddroad.learn.data.cutouts import COCO, HELD_OUT


def write_subset(folder: Path, out: Path, chosen: set[str]) -> int:
    """Link the images of a COCO folder and write the outlines of the chosen ones, and the held-out objects of all."""
    kept = 0
    for path in sorted(folder.glob("images/*/*.jpg")):
        outlines = folder / "labels" / path.parent.name / f"{path.stem}.txt"
        lines = outlines.read_text().splitlines() if outlines.is_file() else []
        held_out = [line for line in lines if line.strip() and COCO[int(line.split()[0])] in HELD_OUT]
        wanted = lines if path.stem in chosen else held_out
        kept += len(wanted) - len(held_out)
        for kind in ("images", "labels"):
            (out / kind / path.parent.name).mkdir(parents=True, exist_ok=True)
        link = out / "images" / path.parent.name / path.name
        if not link.is_symlink():
            link.symlink_to(path.resolve())
        (out / "labels" / path.parent.name / outlines.name).write_text("\n".join(wanted))
    return kept


def main() -> None:
    """Write both subsets."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name in ("cityscapes_small", "camvid", "coco128-seg"):
        if not (out / name).is_symlink():
            (out / name).symlink_to((data / name).resolve())
    names = sorted(path.stem for path in (data / "coco128-seg").glob("images/*/*.jpg"))
    order = np.random.default_rng(0).permutation(len(names))
    half = len(names) // 2
    for name, chosen in (("coco_s1", order[:half]), ("coco_s2", order[half:])):
        count = write_subset(data / "coco128-seg", out / name, {names[i] for i in chosen})
        print(f"{name}: {len(chosen)} images, {count} objects")


if __name__ == "__main__":
    main()
