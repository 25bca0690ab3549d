"""Convert a YAML file of centerX or CenterNet-better-plus to a configuration, and report the outcome of every key."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from centerx.config.load import parse_config
from centerx.contents import read_plain
from centerx.errors import InputError
from centerx.files import quoted, write_atomic
from centerx.interop import better_plus
from centerx.interop.foreign import in_place_of
from centerx.interop.keys import BY_ITS_CODE, CENTERX, Dialect, Flat, Outcome, outcome_of
from centerx.yaml_text import parse_yaml

MAX_DEPTH = 16
# Sections of other detectors in detectron2
OTHERS = ("MODEL.ROI_", "MODEL.RPN.", "MODEL.RETINANET.", "MODEL.PROPOSAL_GENERATOR.", "MODEL.ANCHOR_GENERATOR.",
          "MODEL.SEM_SEG_HEAD.", "MODEL.PANOPTIC_FPN.", "MODEL.FCOS.", "MODEL.BIFPN.")  # fmt: skip


class Row(NamedTuple):
    """Outcome of a key.

    Attributes:
        key: key in the other code base.
        value: its value.
        outcome: `kept as ...`, `renamed to ...` (the same under another key or value) or `dropped: ...`.
    """

    key: str
    value: str
    outcome: str


class ImportedConfig(NamedTuple):
    """A configuration that was written.

    Attributes:
        rows: what became of every key.
        to_fill: the keys of ours that a person has to fill in, in words.
    """

    rows: list[Row]
    to_fill: str

    def count(self, word: str) -> int:
        """Return how many keys were `kept`, `renamed` or `dropped`."""
        return sum(row.outcome.startswith(word) for row in self.rows)


def import_config(path: Path, out: Path) -> ImportedConfig:
    """Write our counterpart of a YAML, and return what became of every key.

    Raises:
        InputError: the file or one of its bases is missing, malformed, a program, or not a configuration of centerX or
            CenterNet-better-plus.
    """
    if path.suffix.lower() == ".py" and path.is_file():
        raise InputError(
            f"{path}: a program of Python, as CenterNet-better keeps its configurations, and no program is run here; "
            "write its values into a YAML with the keys of CenterNet-better-plus, see docs/migrate.md"
        )
    given = dict(flat(read_with_bases(path, ())))
    if not any(key.split(".")[0].isupper() for key in given):
        raise InputError(f"{path}: no configuration of centerX, which has sections such as MODEL and SOLVER")
    dialect = dialect_of(given)
    try:
        require_centernet(given)
        tree, rows = translate(given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    ours = parse_config(tree, path).model_dump(mode="json", exclude_unset=True)
    to_fill = "its paths" if "epochs" in tree["train"] else "its paths and train.epochs"
    text = header(path, out, dialect, to_fill) + yaml.safe_dump(
        ours, sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    write_atomic(out, text.encode("utf-8"))
    return ImportedConfig(rows, to_fill)


def dialect_of(given: Flat) -> Dialect:
    """Return the code base whose keys a configuration has."""
    return better_plus.BETTER_PLUS if better_plus.recognises(given) else CENTERX


def require_centernet(given: Flat) -> None:
    """Raise if there are sections of other detectors and no architecture, which means another in detectron2."""
    others = [key for key in given if key.startswith(OTHERS)]
    if "MODEL.META_ARCHITECTURE" not in given and others:
        raise InputError(
            f"{others[0]}: is of another detector of detectron2, and no MODEL.META_ARCHITECTURE says CenterNet; only "
            "configurations of centerX and CenterNet-better-plus can be imported"
        )


def header(path: Path, out: Path, dialect: Dialect, to_fill: str) -> str:
    """Return the comment at the top of the file."""
    steps = "# FILL IN train.epochs: the number of steps stands there, and how many pictures there are is not known.\n"
    return (
        f"# centerx train {quoted(str(out))} --out runs/{quoted(out.stem)}\n"
        f"# From {quoted(path.name)} of {dialect.name}; not measured here.\n"
        f"{steps if 'epochs' in to_fill else ''}"
        "# FILL IN the paths of data.train and data.val: they are guesses from the names of data sets there.\n"
        "# FILL IN those of distill.teachers and train.init, where there are some: checkpoints to convert first, by\n"
        "# `centerx import`.\n"
    )


def translate(given: Flat) -> tuple[dict[str, Any], list[Row]]:
    """Convert a flat configuration to a tree of our keys; return it and the outcomes of keys and relevant defaults."""
    dialect = dialect_of(given)
    whole = dialect.defaults | dict(given)
    ours = dict(BY_ITS_CODE)
    rows = []
    for key in sorted(whole):
        outcome = outcome_of(key, whole, dialect)
        ours |= outcome.ours
        if key in given or outcome.ours:
            rows.append(Row(key, f"{whole[key]}{'' if key in given else ' (default)'}", told(outcome, whole[key])))
    return nested(ours), rows


def told(outcome: Outcome, value: Any) -> str:
    """Return the outcome of a key as one line."""
    if outcome.into:
        return f"renamed to a part of {outcome.into}"
    if not outcome.ours:
        return f"dropped: {outcome.why}"
    why = f" ({outcome.why})" if outcome.why else ""
    if all(each == value for each in outcome.ours.values()):
        return f"kept as {', '.join(outcome.ours)}{why}"
    return f"renamed to {', '.join(f'{key}={each}' for key, each in outcome.ours.items())}{why}"


def read_with_bases(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Read a YAML file merged over its `_BASE_`, a path relative to the folder of the file.

    Raises:
        InputError: a file is missing or malformed, has Python tags, or is its own base.
    """
    real = Path(os.path.realpath(path))
    if real in seen or len(seen) > MAX_DEPTH:
        raise InputError(f"{path}: `_BASE_` leads back to itself, remove the circle")
    if not path.is_file():
        raise InputError(f"{path}: no such file, check the path")
    try:
        text = read_plain(path).decode("utf-8-sig")
        if other := in_place_of(text):
            raise InputError(f"{path}: no configuration but {other.what}, {other.todo}")
        tree = parse_yaml(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a configuration is a mapping of keys, not {type(tree).__name__}")
    base = tree.pop("_BASE_", None)
    if base is None:
        return tree
    return merged(read_with_bases(path.parent / str(base), (*seen, real)), tree)


def merged(base: Any, change: Any) -> Any:
    """Merge mappings key by key; other values are replaced."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    return base | {key: merged(base.get(key), value) for key, value in change.items()}


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and their values; an empty section has none."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", literal(value)


def literal(value: Any) -> Any:
    """Return the value that a text such as `(50, 62)` or `5e-4` means, with tuples as lists."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    if isinstance(value, dict):
        return {key: literal(each) for key, each in value.items()}
    return [literal(each) for each in value] if isinstance(value, (list, tuple)) else value


def nested(ours: dict[str, Any]) -> dict[str, Any]:
    """Convert dotted keys to a tree."""
    tree: dict[str, Any] = {}
    for key, value in ours.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return tree
