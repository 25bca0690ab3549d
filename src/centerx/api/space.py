"""The search space of a configuration: read, checked against its schema, or the usual one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from centerx.config import Config, flat, known_keys, load_config, read_yaml
from centerx.errors import InputError, nearest
from centerx.tuning.space import Choice, Range, Space, parse_space

# Keys that make trials differ in more than how good they are.
KEPT = {
    "task": "all trials must be judged alike",
    "classes": "all trials must be judged alike",
    "data.val": "all trials must be judged alike",
    "data.tiles": "all trials must be judged alike",
    "train.val_every": "all trials must be judged alike",
    "train.seed": "the best seed is luck, not a better configuration",
    "train.report": "trials have no report of their own",
}
SCALES = [0.9, 1.1], [0.7, 1.4], [0.5, 2.0]  # of the usual space, beside that of the configuration


def read_space(space: str | Path | Mapping[str, Any], config: Config, fixed: set[str]) -> Space:
    """Read a space and check that the schema takes its values.

    Args:
        space: a YAML file or its content.
        config: of the search.
        fixed: keys that have their values by overrides.

    Raises:
        InputError: the space is wrong, see `parse_space`; a key is unknown, fixed, or must be the same in all trials;
            or a value is refused.
    """
    where: object = "space"
    tree: Any = space
    if not isinstance(space, Mapping):
        where = Path(space)
        tree = read_yaml(where, "a space")
    found = parse_space(tree, where)
    for key, entry in found.items():
        kept = next((each for each in KEPT if overlap(key, each)), None)
        if kept:
            raise InputError(f"{where}: {key}: {KEPT[kept]}, leave it out")
        twice = next((each for each in sorted(fixed) if overlap(key, each)), None)
        if twice:
            raise InputError(f"{where}: {key}: {twice}=... is given too, leave it out there or here")
        require_key(key, where)
        found[key] = checked(key, entry, config, where)
    return found


def overlap(one: str, other: str) -> bool:
    """Whether two dotted keys are the same, or one is a part of the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def require_key(key: str, where: object) -> None:
    """Raise where a key is in no section that there is; the schema itself tells unknown keys of known sections."""
    known = known_keys()
    section, _, name = key.rpartition(".")
    if key not in known and section not in known:
        alike = [each for each in known if each.rpartition(".")[2] == name]
        raise InputError(
            f"{where}: unknown key {key!r}{nearest(key, alike) or nearest(key, known)}, see docs/config.md"
        )


def checked(key: str, entry: Range | Choice, config: Config, where: object) -> Range | Choice:
    """Return an entry all of whose values the schema takes; a range of whole numbers where it takes no others.

    Raises:
        InputError: one is refused.
    """
    if isinstance(entry, Range) and all(number == int(number) for number in (entry.low, entry.high, entry.step or 1)):
        middle = (entry.low + entry.high) / 2
        between = middle + 0.5 if middle == int(middle) else middle
        entry = entry._replace(whole=entry.step is not None or not accepts(config, key, between))
    for value in entry.probes():
        try:
            load_config(config, {key: value})
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return entry


def accepts(config: Config, key: str, value: Any) -> bool:
    """Whether the schema takes a value."""
    try:
        load_config(config, {key: value})
    except InputError:
        return False
    return True


def values_of(config: Config, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a configuration has for some keys."""
    tree = config.model_dump(mode="json")
    found: dict[str, Any] = {}
    for key in keys:
        value: Any = tree
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        found[key] = value
    return found


def usual_space(config: Config, fixed: set[str]) -> Space:
    """Return the space that is searched where none is given: learning rate, loss weights and augmentation.

    Rates and weights go from an eighth, or a quarter, of the configuration's own to as many times as much. Left out
    are keys that have their values by overrides, and weights of 0.

    Args:
        config: of the search.
        fixed: keys that have their values by overrides.
    """
    train, augment = config.train.optimizer, config.augment
    space: Space = {"train.optimizer.lr": around(train.lr, 8)}
    if train.weight_decay:
        space["train.optimizer.weight_decay"] = around(train.weight_decay, 8)
    section = {"fixed": "loss", "constant": "loss.constant"}.get(config.loss.balance)
    for field in config.made_task.branches if section else ():
        weight = dict(flat(config.model_dump()))[f"{section}.{field.name}"]
        if weight and field.name != "offset":
            space[f"{section}.{field.name}"] = around(weight, 4)
    own = list(augment.scale)
    space["augment.scale"] = Choice((own, *(each for each in SCALES if each != own)))
    space["augment.shift"] = Range(0.0, max(0.2, augment.shift))
    if not augment.short_sides:  # mosaic takes pictures of one size
        space["augment.mosaic"] = Range(0.0, max(0.5, augment.mosaic))
    return {key: entry for key, entry in space.items() if not any(overlap(key, each) for each in fixed)}


def around(value: float, times: float) -> Range:
    """Return the range from a part of a value to as many times as much."""
    return Range(value / times, value * times, log=True)
