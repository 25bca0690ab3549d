"""`centerx.list_presets`: the shipped configurations."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

from centerx.errors import InputError, nearest

SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z]|centerX's)")
OURS = re.compile(r"Measured .*?\bAP (0\.\d+)")
THEIRS = re.compile(r"centerX's README: AP (\d+\.\d+)")
NO_PURPOSE = ("Measured", "Not measured", "Published", "centerX's", "The centerX", "First,")  # begin other sentences


class Preset(NamedTuple):
    """A shipped configuration.

    Attributes:
        name: as `centerx train` takes it.
        purpose: what it is for.
        command: that it is meant for.
        parameters: of the network; with one class where the preset names none.
        input_hw: height and width of the input in pixels.
        epochs: of the training.
        AP: that was measured with it, in [0, 1]; None where it was not.
        published: AP that centerX published for its counterpart, in [0, 1]; None where there is none.
    """

    name: str
    purpose: str
    command: str
    parameters: int
    input_hw: tuple[int, int]
    epochs: int
    AP: float | None
    published: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `centerx presets --json`."""
        tree = self._asdict()
        tree["input_size"] = list(tree.pop("input_hw"))
        return tree


def known_presets() -> list[str]:
    """Return the names of the shipped configurations."""
    from centerx.config import preset_names

    return preset_names()


def list_presets(names: list[str] | None = None) -> list[Preset]:
    """List the shipped configurations.

    Args:
        names: only these.

    Raises:
        InputError: there is no preset of such a name.
    """
    from centerx.config.load import PRESETS

    known = known_presets()
    for name in names or ():
        if name not in known:
            raise InputError(f"{name}: no such preset{nearest(name, known)}, `centerx presets` lists them")
    counts = read_parameters(PRESETS / "parameters.csv")
    return [read_preset(name, PRESETS / f"{name}.yaml", counts[name]) for name in names or known]


def read_preset(name: str, path: Path, parameters: int) -> Preset:
    """Return what a preset is, by its head and its values.

    Args:
        name: of the preset.
        path: its file.
        parameters: of its network.
    """
    from centerx.config import load_config

    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("#").strip() for line in lines[: next(i for i, x in enumerate(lines) if x[:1] != "#")]]
    text = " ".join(head[1:])
    purpose = [part for part in SENTENCE.split(text) if not part.startswith(NO_PURPOSE)]
    ours, theirs = OURS.search(text), THEIRS.search(text)
    config = load_config(name)
    return Preset(
        name,
        purpose[0].rstrip("."),
        head[0],
        parameters,
        config.data.input_size,
        config.train.epochs,
        float(ours[1]) if ours else None,
        round(float(theirs[1]) / 100, 4) if theirs else None,
    )


def read_parameters(path: Path) -> dict[str, int]:
    """Return the number of parameters by preset, as `make docs` wrote them."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["preset"]: int(row["parameters"]) for row in csv.DictReader(file)}
