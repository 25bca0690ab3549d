"""Data sets that centerX knows by name: their paths there (data/dataset/builting.py), and what they label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COCO = "datasets/coco/annotations/instances_{split}2017.json"
CROWD = {
    "path": "datasets/crowd_human/Annotations/annotation_{split}.odgt",
    "images": "datasets/crowd_human/JPEGImages",
    "classes": {"visible": "person"},  # it reads `vbox`
}
FACES = {"path": "datasets/wider_face_add_lm_10_10_add_mafa", "classes": ["face"]}
TRAIN, VAL = {"split": "train"}, {"split": "val"}
SHOWN = {"only_with_objects": True}  # it loads no other pictures of a part of COCO's classes

DATASETS: dict[str, dict[str, Any]] = {
    "coco_2017_train": {"path": COCO} | TRAIN,
    "coco_2017_val": {"path": COCO} | VAL,
    "coco_person_train": {"path": COCO, "classes": ["person"]} | TRAIN | SHOWN,
    "coco_person_val": {"path": COCO, "classes": ["person"]} | VAL | SHOWN,
    "coco_car_train": {"path": COCO, "classes": ["car"]} | TRAIN | SHOWN,
    "coco_car_val": {"path": COCO, "classes": ["car"]} | VAL | SHOWN,
    "coco_person_car_val": {"path": COCO, "classes": ["person", "car"]} | VAL | SHOWN,
    "crowd_human_train": CROWD | TRAIN,
    "crowd_human_val": CROWD | VAL,
    "crowd_human_face_train": CROWD | TRAIN,
    "crowd_human_face_val": CROWD | VAL,
    "face_train": FACES | {"split": "trainval_all"},
    "face_test": FACES | {"split": "test"},
    "widerface_crowdhuman_train": FACES | {"split": "trainval_all"},
    "widerface_crowdhuman_test": FACES | {"split": "test"},
    "pseudo_person_face_train": {"path": "datasets/pseudo_person_face.json", "classes": ["person", "face"]},
}
# Unpublished data sets of the author; the classes are those in their names.
PRIVATE = {"bj": ["person"], "7f": ["person"], "face_wider_mafa_bj": ["face"]}
# Number of pictures of some data sets that detectron2 knows by name
PICTURES = {
    "coco_2014_minival": 5_000,
    "coco_2014_train": 82_783,
    "coco_2014_val": 40_504,
    "coco_2014_valminusminival": 35_504,
    "coco_2017_train": 118_287,
    "coco_2017_val": 5_000,
    "voc_2007_test": 4_952,
    "voc_2007_train": 2_501,
    "voc_2007_trainval": 5_011,
    "voc_2007_val": 2_510,
    "voc_2012_train": 5_717,
    "voc_2012_trainval": 11_540,
    "voc_2012_val": 5_823,
}
ORDER = ("person", "face", "car")  # as its class lists have them


def data_entry(name: str) -> dict[str, Any]:
    """Return an entry of `data.train` or `data.val`; for an unknown name, with a path to fill in."""
    known = DATASETS.get(name)
    if known is None:
        labels = PRIVATE.get(name.rpartition("_")[0])
        return {"path": f"FILL_IN/{name}"} | ({"classes": labels} if labels else {})
    entry = known | {"path": known["path"].format(split=known.get("split", ""))}
    if "{split}" in known["path"]:
        del entry["split"]
    return entry


def class_names(whole: Mapping[str, Any]) -> list[str]:
    """Return the classes of a configuration from its data sets; an empty list if one has all classes of COCO."""
    entries = [data_entry(name) for name in (*named(whole, "TRAIN"), *named(whole, "TEST"))]
    labelled = [entry.get("classes", []) for entry in entries]
    found = {name for names in labelled for name in (names.values() if isinstance(names, dict) else names)}
    whole_coco = any(entry["path"].startswith("datasets/coco") and "classes" not in entry for entry in entries)
    return [] if whole_coco else [name for name in ORDER if name in found]


def named(whole: Mapping[str, Any], part: str) -> list[str]:
    """Return the names of the data sets of a part."""
    names = whole.get(f"DATASETS.{part}", [])
    return names if isinstance(names, list) else [names]
