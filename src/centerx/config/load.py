"""YAML files -> Config: `base:` inheritance, presets by name, dotted overrides, errors that name the key."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from centerx.config.schema import Config, as_policies
from centerx.contents import read_plain
from centerx.errors import InputError, nearest
from centerx.files import json_text
from centerx.yaml_text import WRONG, check_yaml, one_line, parse_yaml

PRESETS = Path(__file__).resolve().parents[1] / "presets"
MAX_DEPTH = 16
LONGEST_SHOWN = 200  # characters of a wrong value
ConfigSource: TypeAlias = str | Path | Mapping[str, Any] | Config
Overrides: TypeAlias = Sequence[str] | Mapping[str, Any]
# what pydantic says to programmers, for those who write YAML
PLAIN = {r"valid tuple": "list", r"^Tuple": "List", r"valid dictionary( or instance of \w+)?": "mapping of keys"}


def preset_names() -> list[str]:
    """Return the names of the shipped configurations."""
    return sorted(str(path.relative_to(PRESETS).with_suffix("")) for path in PRESETS.rglob("*.yaml"))


def load_config(config: ConfigSource, overrides: Overrides = ()) -> Config:
    """Read a configuration.

    Args:
        config: a YAML file, the name of a shipped preset such as `bccd_nano`, a mapping with the keys of a YAML file
            (`base` as well), or a configuration.
        overrides: `dotted.key=value` with values in YAML, or a mapping of dotted keys to values.

    Raises:
        InputError: the file is missing or malformed, a key is unknown or a value is wrong.
    """
    words = override_words(overrides) if isinstance(overrides, Mapping) else overrides
    where: object = "the configuration"
    if isinstance(config, Config):
        tree = config.model_dump(mode="json")
    elif isinstance(config, Mapping):
        tree = _with_bases(_plain(config), where, None, ())
    else:
        where = path = find_config(config)
        tree = _with_bases(read_yaml(path), path, path.parent, (os.path.realpath(path),))
    return parse_config(_merge(tree, _parse_overrides(words)), where, words)


def override_words(values: Mapping[str, Any]) -> list[str]:
    """Return `dotted.key=value` for each key, as they are typed."""
    return [f"{key}={json_text(_plain(value))}" for key, value in values.items()]


def parse_config(tree: Any, where: object, overrides: Sequence[str] = ()) -> Config:
    """Validate a tree of plain values; errors name the override that is wrong, or `where`."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{_culprit(error, overrides) or where}: {_explain(error)}") from None


def parse_text(text: str, where: object) -> Config:
    """Read what `dump_config` wrote.

    Raises:
        InputError: it is no configuration.
    """
    try:
        tree = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{where}: not readable as YAML ({error})") from None
    return parse_config(tree, where)


def dump_config(config: Config) -> str:
    """Return YAML that `load_config` reads back to the same configuration."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings with their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find_config(config: str | Path, beside: Path | None = None) -> Path:
    """Return the file of a path or preset name; a relative path may also start at the folder `beside`."""
    name = str(config)
    for candidate in [Path(name), *([beside / name] if beside else [])]:
        if candidate.is_file():
            return candidate
    if name in preset_names():
        return PRESETS / f"{name}.yaml"
    meant = nearest(name.removesuffix(".yaml"), preset_names())
    raise InputError(f"{name}: no such configuration file or preset{meant}, see `centerx presets`")


def read_yaml(path: Path, what: str = "a configuration") -> dict[str, Any]:
    """Read a mapping from a YAML file.

    Args:
        path: the file.
        what: it is, for errors.

    Raises:
        InputError: the file cannot be read or holds no mapping.
    """
    try:
        text = read_plain(path).decode("utf-8-sig")
        check_yaml(text)
        tree = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file, give {what} in YAML") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}, give {what} in YAML") from None
    except (*WRONG, OmegaConfBaseException) as error:
        if path.suffix == ".json":  # a large one has more nodes than are read
            raise InputError(f"{path}: not {what} in YAML; data are given by data.train={path}") from None
        raise InputError(f"{path}: not readable as YAML ({one_line(error)})") from None
    if isinstance(tree, dict) and {"images", "annotations"} <= tree.keys():
        raise InputError(f"{path}: a COCO data set, not {what}; data are given by data.train={path}")
    if not isinstance(tree, dict):
        raise InputError(f"{path}: {what} is a mapping of keys, not {type(tree).__name__}")
    return tree  # type: ignore[return-value]


def known_keys() -> list[str]:
    """Return the dotted keys of a configuration, those of its sections too."""
    return list(_all_keys(Config))


def _with_bases(tree: dict[str, Any], where: object, folder: Path | None, seen: tuple[str, ...]) -> Any:
    """Put a tree on top of its bases.

    Args:
        tree: as written.
        where: names it in errors.
        folder: where a relative `base` may also start.
        seen: the files that led here, this one included.
    """
    if len(set(seen)) < len(seen) or len(seen) > MAX_DEPTH:
        raise InputError(f"{where}: `base` leads back to itself, remove the circle")
    base = tree.get("base")
    own = _spread_actions({key: value for key, value in tree.items() if key != "base"})
    if base is None:
        return own
    if not isinstance(base, str):
        raise InputError(f"{where}: base must name one file or preset, not {base!r}")
    path = find_config(base, folder)
    return _merge(_with_bases(read_yaml(path), path, path.parent, (*seen, os.path.realpath(path))), own)


def _plain(value: Any) -> Any:
    """Return a value as YAML would give it: paths are text, tuples are lists."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for item in overrides:
        if not re.match(r"[\w.-]+=", item):
            raise InputError(f"{item!r}: an override is written key=value, such as train.epochs=40")
        if number := re.search(r"^([\w.-]+?)\.\d+[.=]", item):
            raise InputError(f"{item}: a list is replaced whole, write {number[1]}=[...]")
        try:
            check_yaml(item.partition("=")[2])
            change = OmegaConf.to_container(OmegaConf.from_dotlist([item]), resolve=False)
        except UnicodeEncodeError:
            raise InputError(
                f"{item}: holds a name that is not UTF-8, which a configuration cannot, rename it"
            ) from None
        except (*WRONG, OmegaConfBaseException) as error:
            raise InputError(f"{item}: not readable ({one_line(error)})") from None
        tree = _merge(tree, _spread_actions(change))
    return tree


def _spread_actions(tree: Any) -> Any:
    """A word for `data.on_problem` as a mapping, so that a word for one kind adds to it instead of replacing it."""
    data = tree.get("data") if isinstance(tree, dict) else None
    if not isinstance(data, dict) or "on_problem" not in data:
        return tree
    return tree | {"data": data | {"on_problem": as_policies(data["on_problem"])}}


def _merge(base: Any, change: Any) -> Any:
    """Mappings merge key by key; anything else is replaced."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    return base | {key: _merge(base[key], value) if key in base else value for key, value in change.items()}


def _culprit(error: ValidationError, overrides: Sequence[str]) -> str | None:
    """The override that set the wrong key, the last one as in the configuration itself."""
    path = [str(part) for part in _first(error)["loc"]]
    keys = {item: item.split("=")[0].split(".") for item in reversed(overrides)}
    return next((item for item, key in keys.items() if all(a == b for a, b in zip(key, path, strict=False))), None)


def _explain(error: ValidationError) -> str:
    first = _first(error)
    path = _keys(first)
    key = ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_suggestion(path)}, see docs/config.md"
    message = first["msg"].removeprefix("Value error, ")
    for jargon, word in PLAIN.items():
        message = re.sub(jargon, word, message)
    value = repr(first["input"])
    cut = value if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]}..."
    shown = f" (got {cut})" if not isinstance(first["input"], dict) else ""
    close = ""
    if first["type"] == "literal_error":
        close = nearest(str(first["input"])[:LONGEST_SHOWN], re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    return f"{key}: {message}{shown}{close}, see docs/config.md"


def _first(error: ValidationError) -> ErrorDetails:
    """The error to tell: an unknown key rather than the one that is missed in its place."""
    errors = error.errors()
    return next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])


def _keys(error: ErrorDetails) -> list[int | str]:
    """Where it is, without the names of types that pydantic adds where a value may be of several."""
    if error["type"] == "extra_forbidden":
        return list(error["loc"])
    path: list[int | str] = []
    for part in error["loc"]:
        if isinstance(part, int) or part in _section_at(path).model_fields:
            path.append(part)
    return path


def _suggestion(path: Sequence[int | str]) -> str:
    """The nearest key of the same section, else the key of this name in another, else the nearest of all."""
    name = str(path[-1])
    elsewhere = {key.split(".")[-1]: key for key in sorted(_all_keys(Config), key=len, reverse=True)}
    siblings = nearest(name, _section_at(path[:-1]).model_fields)
    return siblings or nearest(elsewhere.get(name, ".".join(map(str, path))), elsewhere.values())


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if section := _section(field.annotation):
            yield from _all_keys(section, f"{prefix}{name}.")


def _section_at(path: Sequence[int | str]) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _section(model.model_fields[part].annotation) or model
    return model


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section inside an annotation such as tuple[DataEntry, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)
