"""YOLO: one txt a picture, each line a class index and a box relative to the picture's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from centerx.data.dataset import Dataset, Problem, RecordBuilder
from centerx.errors import InputError, nearest
from centerx.images import SUFFIXES, image_hw, list_images

NAME_FILES = ("classes.txt", "obj.names", "*.names")
SPLITS = ("train", "val", "test")
SLACK = 1e-3  # relative coordinates may leave [0, 1] by so much through rounding


def recognises(path: Path) -> bool:
    """Whether this is a data.yaml, a folder with one, or a folder with class names and label files."""
    return path.suffix in (".yaml", ".yml") or (path.is_dir() and (_yaml(path) or _names_file(path)) is not None)


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a split of a `data.yaml`, or a folder of pictures and label files with a file of class names.

    Polygons become the box around them. A picture without a label file has no objects.
    """
    file = path if path.is_file() else _yaml(path)
    if file is not None:
        names, pictures = _from_yaml(file, split)
    else:
        names_file = _names_file(path)
        assert names_file is not None
        names = tuple(line.strip() for line in names_file.read_text(encoding="utf-8").splitlines() if line.strip())
        pictures = _from_folder(path, split, images)
    problems: list[Problem] = []
    records = []
    for picture, label_file in pictures:
        builder = RecordBuilder(picture, picture.name if file is None else str(picture), problems)
        if label_file is not None and label_file.is_file():
            _add_lines(builder, label_file, len(names))
        records.append(builder.build())
    return Dataset(path, "yolo", names, tuple(range(len(names))), records, problems)


def _add_lines(builder: RecordBuilder, file: Path, num_classes: int) -> None:
    lines = [
        (n, line.split()) for n, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if line.strip()
    ]
    if not lines:
        return
    try:
        height, width = image_hw(builder.image)
    except InputError as error:
        builder.problems.append(Problem(str(file), f"its picture's size is unknown: {error}", "skipped"))
        return
    for number, words in lines:
        where = f"{file}:{number}"
        try:
            label, values = int(words[0]), [float(word) for word in words[1:]]
        except ValueError:
            builder.problems.append(Problem(where, f"not numbers: {' '.join(words)}", "skipped"))
            continue
        if not 0 <= label < num_classes:
            builder.problems.append(Problem(where, f"class {label} of {num_classes}", "skipped"))
        elif len(values) != 4 and (len(values) < 6 or len(values) % 2):
            builder.problems.append(Problem(where, f"{len(values)} coordinates, 4 are needed", "skipped"))
        else:
            _add_box(builder, where, label, values, width, height)


def _add_box(builder: RecordBuilder, where: str, label: int, values: list[float], width: int, height: int) -> None:
    if len(values) == 4:
        x, y, w, h = values
        box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    else:
        box = [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    if min(box) < -SLACK or max(box) > 1 + SLACK:
        builder.problems.append(Problem(where, f"reaches outside the picture: {values}, clipped", "fixed"))
        box = [min(max(value, 0.0), 1.0) for value in box]
    builder.add(where, [box[0] * width, box[1] * height, box[2] * width, box[3] * height], label)


def _from_yaml(file: Path, split: str | None) -> tuple[tuple[str, ...], list[tuple[Path, Path | None]]]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not readable as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict) or "names" not in tree:
        raise InputError(f"{file}: not a YOLO data set, `names` is missing")
    there = [name for name in SPLITS if tree.get(name)]
    if split is None and len(there) != 1:
        raise InputError(f"{file}: which split of {', '.join(there) or 'none'}? name one with split")
    wanted = split or there[0]
    if wanted not in there:
        raise InputError(f"{file}: no split {wanted!r}{nearest(wanted, there)}, there are: {', '.join(there)}")
    names = tree["names"]
    names = [names[key] for key in sorted(names)] if isinstance(names, dict) else names
    root = file.parent / str(tree.get("path") or "")
    sources = tree[wanted] if isinstance(tree[wanted], list) else [tree[wanted]]
    pictures = [picture for source in sources for picture in _pictures(_resolve(file, root, str(source)))]
    return tuple(map(str, names)), [(picture, _label_file(picture)) for picture in pictures]


def _resolve(file: Path, root: Path, source: str) -> Path:
    for candidate in (root / source, file.parent / source, file.parent / source.removeprefix("../")):
        if candidate.exists():
            return candidate
    raise InputError(f"{file}: {source}: no such file or folder")


def _pictures(source: Path) -> list[Path]:
    if source.is_dir():
        return list_images(source)
    return [source.parent / line.strip() for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]


def _label_file(picture: Path) -> Path:
    """`.../images/.../a.jpg` -> `.../labels/.../a.txt`, or beside the picture."""
    parts = list(picture.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            return Path(*parts[:at], "labels", *parts[at + 1 :]).with_suffix(".txt")
    return picture.with_suffix(".txt")


def _from_folder(path: Path, split: str | None, images: Path | None) -> list[tuple[Path, Path | None]]:
    """Pictures and label files matched by stem, wherever below the folder they lie."""
    root = images or next((f for f in (path / "images", path) if any(_below(f, SUFFIXES))), None)
    root = root or next((f for f in (path.parent / "images", path.parent.parent / "images") if f.is_dir()), path)
    if split is not None:
        if not (root / split).is_dir():
            raise InputError(f"{path}: no split {split!r}, {root} has no such folder")
        root = root / split
    labels = {file.stem: file for file in _below(path, {".txt"})}
    pictures = list_images(root)
    if not any(picture.stem in labels for picture in pictures):
        raise InputError(f"{path}: no label file matches a picture of {root}, name their folder with images")
    return [(picture, labels.get(picture.stem)) for picture in pictures]


def _below(folder: Path, suffixes: Any) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in suffixes] if folder.is_dir() else []


def _yaml(folder: Path) -> Path | None:
    return next((file for name in ("data.yaml", "data.yml", "dataset.yaml") if (file := folder / name).is_file()), None)


def _names_file(folder: Path) -> Path | None:
    found = [file for pattern in NAME_FILES for file in sorted(folder.glob(pattern))]
    return found[0] if found and any(file.suffix == ".txt" for file in folder.rglob("*.txt")) else None
