"""The verbs ``data ...``."""

from __future__ import annotations

from pathlib import Path

from oddroad.cli.common import JsonTo, printable_lines, write_json


def verify_data(root: Path, data: tuple[str, ...] = (), json: JsonTo = None) -> None:
    """List what data sets a folder holds: images, sizes, labels, prevalence, against the published counts.

    Example: oddroad data verify --root ~/datasets

    Ends with exit code 1 if a set is incomplete or something else is wrong with it. The layouts that are read, each at
    or below the root:

    - road_anomaly21: dataset_AnomalyTrack or RoadAnomaly21, with images and labels_masks
    - road_obstacle21: dataset_ObstacleTrack, RoadObsticle21 or RoadObstacle21, with images and labels_masks
    - fishyscapes_lost_and_found: fishyscapes_lostandfound/*_labels.png beside Lost and Found's leftImg8bit, or
      FS_LostFound_full with images and labels_masks
    - fishyscapes_static: fs_val_v3/*_labels.png with composed *_rgb.png beside them or in fs_static_images, or
      fs_static with images and labels_masks
    - road_anomaly: frame_list.json beside frames/X.jpg and frames/X.labels/labels_semantic.png, or RoadAnomaly with
      images and labels_masks
    - lost_and_found: leftImg8bit/test/*/*_leftImg8bit.png and gtCoarse/test/*/*_gtCoarse_labelIds.png
    - folder: the root itself: images, masks of the same names, and optionally classes.json
    - cityscapes: leftImg8bit/SPLIT/*/*_leftImg8bit.png and gtFine/SPLIT/*/*_labelTrainIds.png or *_labelIds.png
    - cityscapes_small: cityscapes_small/SPLIT with images and labels, 256x256
    - cityscapes_sharp: cityscapes_sharp with images and labels, 2048x1024
    - camvid: camvid/SPLIT with images and labels, or CamVid/SPLIT and CamVid/SPLITannot
    - idd_lite: idd20k_lite with leftImg8bit/SPLIT/*/*_image.jpg and gtFine/SPLIT/*/*_label.png
    - a folder below the root with images, masks and a class map (classes.yaml), by its name: a set to train on

    Args:
        root: folder at or below which the sets lie.
        data: names of the sets to look for, or folders with a class map; by default all but these and folder.
        json: one JSON object a line: printed, or into FILE.
    """
    from dataclasses import asdict

    from oddroad.datasets import find_set
    from oddroad.datasets.own_report import OwnInventory, own_inventories
    from oddroad.datasets.verify import Inventory, describe, verify

    own = [name for name in data if find_set(root, name).own]
    names = [name for name in data if name not in own]
    found: list[Inventory | OwnInventory] = []
    for name in own:
        for each in own_inventories(root, name):
            found.append(each)
            if json is None:
                print(printable_lines(each.describe()), flush=True)
    for inventory in verify(root, names) if names or not own else ():
        found.append(inventory)
        if json is None:
            print(printable_lines(describe(inventory)), flush=True)
    write_json(json, *map(asdict, found))
    if any(inventory.problems for inventory in found):
        raise SystemExit(1)
