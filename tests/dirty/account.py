"""What becomes of a broken case: refused, told, the same as before, or another valid text; anything else is silence."""

from __future__ import annotations

import json
import re
import signal
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import ParseError, fromstring

import numpy as np

from centerx.config import load_config
from centerx.data.check import alike_classes, box_problems, picture_problems
from centerx.data.read import scan_dataset
from centerx.data.store import read_info, read_store
from centerx.data.values import DECIMAL
from centerx.errors import InputError
from centerx.images import SUFFIXES, image_hw
from centerx.runtime.foreign.adapter import parse_adapter, read_tree
from centerx.yaml_text import parse_yaml

SECONDS = 10  # a case may take
CELLS = r"([,;\t])"
SHORT = {"points": ["W"], "dota": ["N N N N N N N N W"]}  # a name alone; no difficulty
OPTIONAL = ("ignore", "difficult", "iscrowd", "attribute")
SEPARATORS = {
    "csv": (CELLS, 0),
    "points": (CELLS, 0),
    "openimages": (CELLS, 0),
    "icdar": (CELLS, 8),
    "wpod": (CELLS, 9),
}


class Read(NamedTuple):
    """What was read: any value that compares, and what was told."""

    value: Any
    told: Counter[str]


class Fate(NamedTuple):
    """What became of a case.

    Attributes:
        name: refused, told, same or valid; or one of FAULTS.
        detail: the line that was told, or the fault.
    """

    name: str
    detail: str = ""


FAULTS = ("silent", "raised", "hung", "lines")


def read(kind: str, path: Path, home: Path) -> Read:
    """Read a case, as every command does before its work starts."""
    match kind:
        case "adapter":
            return Read(parse_adapter(read_tree(path), path).model_dump(), Counter())
        case "config":
            return Read(load_config(path).model_dump(mode="json"), Counter())
        case "store":
            images = sorted(home.glob("*.png"))
            found = read_store(path, images, quiet=True)
            answers = [found.of(place) for place in range(len(images))]
            value = [[each.boxes.tolist(), each.labels.tolist(), each.values] for each in answers]
            told = Counter({"unknown": int((~found.answered).sum())})
            return Read(repr((read_info(path), value)), +told)
    dataset = scan_dataset(path)
    problems = [
        *dataset.problems,
        *box_problems(dataset),
        *picture_problems(dataset),
        *alike_classes(dataset.class_names),
    ]
    value = {
        record.image.stem: sorted(
            [dataset.class_names[label], bool(ignore), *np.round(box, 3).tolist(), record.objects.outlined[row].item()]
            for row, (label, ignore, box) in enumerate(zip(record.labels, record.ignore, record.boxes, strict=True))
        )
        for record in dataset.records
    }
    told = Counter(
        {f"{each.kind.code}: {each.where}: {each.what}".replace(str(home), ""): each.times for each in problems}
    )
    fatal = next((each for each in problems if each.action == "fatal"), None)
    if fatal is not None:
        raise InputError(f"{fatal.where}: {fatal.what}")
    if not dataset.class_names:  # which nothing can be trained on or judged by
        raise InputError(f"{path}: read as {dataset.format}, no class is labelled")
    return Read((sorted(dataset.class_names), value), told)


def account(kind: str, home: Path, path: Path, file: str, clean: Path, before: Read) -> Fate:
    """Read a broken case and say what became of it.

    Args:
        kind: of the case.
        home: folder of the case.
        path: what is to be read.
        file: that was broken, relative to the folder.
        clean: folder of the unbroken base.
        before: what was read of it.
    """
    try:
        with limit(SECONDS):
            after = read(kind, path, home)
    except InputError as error:
        text = str(error)
        return Fate("refused", text) if text and len(text.splitlines()) == 1 else Fate("lines", repr(text))
    except TimeoutError:
        return Fate("hung", f"over {SECONDS} s")
    except MemoryError:
        return Fate("raised", "MemoryError")
    except Exception as error:
        trace, place = error.__traceback__, ""
        while trace is not None:
            place, trace = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}", trace.tb_next
        return Fate("raised", f"{type(error).__name__} at {place}: {str(error)[:200]}")
    new = after.told - before.told
    if new:
        return Fate("told", next(iter(new)))
    if after.value == before.value:
        return Fate("same")
    if kind in ("adapter", "config"):
        return Fate("valid")  # by their schema, whose keys are all known and have ranges
    if kind == "store" and file.endswith(".png"):
        return Fate("valid")  # the pictures are those that there are
    if file == "labelmap.txt":
        return Fate("valid")  # it may be missing, and classes without boxes are there alone
    if kind.startswith("yolo") and file.endswith(".txt") and not (home / file).exists():
        return Fate("valid")  # a picture without a file of labels has no objects
    return (
        Fate("valid")
        if is_valid(home / file, clean / file, kind)
        else Fate("silent", difference(before.value, after.value))
    )


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer."""

    def over(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def difference(before: Any, after: Any) -> str:
    return f"{before!s:.500} -> {after!s:.500}"


def is_valid(changed: Path, clean: Path, kind: str) -> bool:
    """Whether a changed text is one of its format all the same, so that no reader can know what was meant.

    Each of its rows, mappings or elements has the keys and kinds of values that one of the clean file has.
    """
    try:
        if changed.suffix.lower() in SUFFIXES:
            return bool(image_hw(changed))  # another picture
        if not stat.S_ISREG(changed.stat().st_mode):
            return False
        new, old = changed.read_text(encoding="utf-8-sig"), clean.read_text(encoding="utf-8")
        parse = PARSERS.get(changed.suffix)
        return shapes(parse(new)) <= shapes(parse(old)) if parse else rows(new, kind) <= rows(old, kind)
    except (InputError, OSError, ValueError, ParseError, RecursionError):
        return False


def rows(text: str, kind: str) -> set[str]:
    """The pattern of each row: N for a number, W for a word, and what separates them."""
    separator, most = SEPARATORS.get(kind, (r"([\s,;:]+)", 0))
    found = set(SHORT.get(kind, ()))
    for row in filter(None, map(str.strip, text.splitlines())):
        parts = re.split(separator, row, maxsplit=most)
        parts[::2] = [kind_of(to_value(part)) for part in parts[::2]]
        parts[1::2] = [part.strip() or " " for part in parts[1::2]]
        found.add(re.sub(r"(;W;N;N;N;N)+", r"\1", "".join(parts)))  # of pseudo labels, as many objects as there are
    return found


def to_value(word: str) -> Any:
    """A word as a number, if it is one."""
    return float(word) if DECIMAL.fullmatch(word) else word


def shapes(tree: Any, where: str = "") -> set[tuple[str, Any]]:
    """Each mapping by its keys and kinds, by where it is; numbers of lists do not count."""
    if isinstance(tree, dict) and tree and all(isinstance(value, dict) for value in tree.values()):
        return {part for value in tree.values() for part in shapes(value, f"{where}.*")}  # by names of pictures
    if isinstance(tree, dict):
        inside = {part for key, value in tree.items() for part in shapes(value, f"{where}.{key}")}
        parts = {key: "W" if key == "label" else kind_of(value) for key, value in tree.items() if key not in OPTIONAL}
        return inside | {(where, tuple(sorted(parts.items())))}
    if isinstance(tree, list):
        plain = not any(isinstance(each, dict | list) for each in tree)
        kinds = tuple(map(kind_of, tree))
        row = {(where, "words" if set(kinds) == {"W"} else kinds)} if plain else set()
        return row.union(*(shapes(each, f"{where}[]") for each in tree))
    return set()


def kind_of(value: Any) -> str:
    if isinstance(value, dict | list) or value is None or isinstance(value, bool):
        return type(value).__name__
    if isinstance(value, int | float):
        return "N" if abs(value) < 1e6 else "?"
    return ("W" if value.isprintable() and len(value) < 300 else "?") if value.strip() else ""


def element(node: Any) -> Any:
    """An XML element as a mapping of its parts."""
    parts: dict[str, Any] = {f"@{key}": to_value(value) for key, value in node.attrib.items()}
    for child in node:
        parts.setdefault(child.tag, []).append(element(child))
    return parts or to_value((node.text or "").strip())


def by_line(text: str) -> Any:
    return [json.loads(row) for row in text.splitlines() if row.strip()]


PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".jsonl": by_line,
    ".odgt": by_line,
    ".xml": lambda text: element(fromstring(text)),
    ".yaml": parse_yaml,
}
