"""Read class names of YOLO data from a `data.yaml` or a text with one name per line, and find such files."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from centerx.data.dataset import UnusableData, parent_folder
from centerx.data.text import read_text
from centerx.data.yolo_places import found_places, is_inside, splits
from centerx.problems import Kind, Problem
from centerx.yaml_text import WRONG, check_yaml, one_line

MOST_CLASSES = 10_000  # without names; guards against a wrong class number
NAME_FILES = ("classes.txt", "obj.names", "*.names")
YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
OTHER_YAML_FILES = ("*.yaml", "*.yml")
NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
NUMBERED = re.compile(r"([0-9]+)(?:\s*[:=,;]\s*|\s+)(\S.*)")  # `0 cat`, `0: cat`
TEXT, NULL, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "null", "merge"))


class _Loader(yaml.SafeLoader):
    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Raise on YAML merge keys: a few lines of them can expand without limit."""
        if any(key.tag == MERGE for key, _ in node.value):
            raise yaml.YAMLError("`<<` is not read here")


class Names(NamedTuple):
    """Class names by number, and their file."""

    file: Path
    by_number: dict[int, str]


def load_yaml(file: Path, problems: list[Problem]) -> dict[Any, Any]:
    """Read a data.yaml. Its `names` become a mapping from numbers to texts as they are written.

    YAML parses `no`, `007`, `null` and dates as values other than texts. Such names are kept as written and reported.

    Args:
        file: the file.
        problems: list to which problems are appended.

    Raises:
        UnusableData: it is not YAML, not a mapping, or its `names` are not class names.
    """
    try:
        text = read_text(file, problems)
    except UnusableData as error:
        raise UnusableData(file, f"malformed YAML ({error.problem.what})") from None
    try:
        check_yaml(text, names=True)
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise UnusableData(file, "not a YOLO data set, a mapping with `names` and splits is needed")
        nodes = [value for key, value in root.value if key.value == "names"]
        root.value = [(key, value) for key, value in root.value if key.value != "names"]
        tree: dict[Any, Any] = loader.construct_document(root)
    except WRONG as error:
        raise UnusableData(file, f"malformed YAML ({one_line(error)})") from None
    if len(nodes) > 1:
        raise UnusableData(file, "`names` is there more than once")
    if nodes and not _is_empty(nodes[0]):
        tree["names"] = _written_names(file, nodes[0], problems)
    return tree


def read_names(file: Path, problems: list[Problem]) -> Names:
    """Read a text with one class name per line. If all names are numbered from 0, the numbers are removed and reported.

    Args:
        file: the file.
        problems: list to which problems are appended.

    Raises:
        UnusableData: it is not a text, or a line between names is blank.
    """
    lines = [line.strip() for line in read_text(file, problems).rstrip().splitlines()]
    parts = [NUMBERED.fullmatch(line) for line in lines]
    if lines and all(part and part[1] == str(number) for number, part in enumerate(parts)):
        what = f"{lines[0]!r} and all other lines have the class's number before its name, which is left out"
        problems.append(Problem(Kind.CHANGED_CLASS_NAME, str(file), what, len(lines)))
        lines = [part[2] for part in parts if part]
    return Names(file, {number: _checked(file, number, name) for number, name in enumerate(lines)})


def numbered(count: int) -> dict[int, str]:
    """Return names for classes that only have numbers."""
    return {number: str(number) for number in range(count)}


def data_yamls(folder: Path) -> list[Path]:
    """Return the data.yaml of a folder or, if there is none, every YAML file with class names and existing pictures."""
    usual = files_like(folder, YAML_FILES)
    if usual:
        return usual[:1]
    others = [(file, _tree(file)) for file in files_like(folder, OTHER_YAML_FILES)]
    return [file for file, tree in others if "names" in tree and found_places(file, tree)]


def names_near(path: Path, folders: Collection[Path], used: Collection[int], problems: list[Problem]) -> dict[int, str]:
    """Return class names from a file near labels: a text beside them or in the data set's folder, else a YAML file.

    A file above the data set, or a YAML file of any name, must name all classes that are used, and is reported.

    Args:
        path: folder of the data set.
        folders: folders of its label files.
        used: class numbers in the label files.
        problems: list to which problems are appended.

    Raises:
        UnusableData: files in the same place contradict each other.
    """
    above = parent_folder(path)
    home = list(dict.fromkeys([path, *(each for folder in folders for each in _up_to(folder, path))]))
    texts = _texts(home, problems)
    names = _agreeing(texts)
    if names is None:
        told: list[Problem] = []
        for found in (_yamls(home, path, told), _texts([above], told) + _yamls([above], path, told)):
            names = names or _agreeing(each for each in found if each.by_number.keys() >= set(used))
        if names:
            shown = ", ".join(names.by_number.values())[:100]
            what = f"no class names with the labels, those of {names.file} are used: {shown}"
            problems += [problem for problem in told if problem.where == str(names.file)]
            problems.append(Problem(Kind.FOUND_ELSEWHERE, str(path), what))
    return names.by_number if names else {}


def other_names(names: Names, folders: Iterable[Path], problems: list[Problem]) -> None:
    """Report a text beside the labels that contradicts the names of a data.yaml."""
    for text in _texts(list(folders), []):
        if clash := _contradiction(names, text):
            what = f"calls its classes otherwise than {names.file}, which is read: {clash}"
            problems.append(Problem(Kind.TWO_PLACES, str(text.file), what))


def files_like(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of a folder that match patterns, sorted; files of earlier patterns come first."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = dict.fromkeys(name for pattern in patterns for name in fnmatch.filter(names, pattern))
    return [folder / name for name in found if (folder / name).is_file()]


def _up_to(folder: Path, top: Path) -> list[Path]:
    """Return a folder and its parents below `top`."""
    return [each for each in (folder, *folder.parents) if each != top and each.is_relative_to(top)] or [folder]


def _texts(folders: Iterable[Path], problems: list[Problem]) -> list[Names]:
    found = [read_names(file, problems) for folder in folders for file in files_like(folder, NAME_FILES)]
    return [names for names in found if names.by_number]


def _yamls(folders: Iterable[Path], path: Path, problems: list[Problem]) -> list[Names]:
    """Return the names in YAML files of this data set: in `path`, and without splits or with a split in `path`."""
    found = []
    for folder in folders:
        for file in files_like(folder, OTHER_YAML_FILES):
            tree = _tree(file, problems)
            ours = folder == path or not splits(file, tree)
            if tree.get("names") and (ours or any(is_inside(place, path) for place in found_places(file, tree))):
                found.append(Names(file, tree["names"]))
    return found


def _tree(file: Path, problems: list[Problem] | None = None) -> dict[Any, Any]:
    """Read any YAML file; return an empty mapping if it has no class names."""
    try:
        return load_yaml(file, [] if problems is None else problems) if b"names" in file.read_bytes() else {}
    except (UnusableData, OSError):
        return {}


def _agreeing(found: Iterable[Names]) -> Names | None:
    """Return the longest of several lists of names.

    Raises:
        UnusableData: two lists contradict each other.
    """
    names = sorted(found, key=lambda each: -len(each.by_number))
    for other in names[1:]:
        if clash := _contradiction(names[0], other):
            what = f"calls its classes otherwise than {names[0].file}: {clash}; remove or correct one of them"
            raise UnusableData(other.file, what)
    return names[0] if names else None


def _contradiction(one: Names, other: Names) -> str:
    """Describe the first class with different names in two files; empty if there is none. One may be shorter."""
    first, second = one.by_number, other.by_number
    clash = next((number for number in first if second.get(number, first[number]) != first[number]), None)
    return "" if clash is None else f"class {clash} is {second[clash]!r} and {first[clash]!r}"


def _is_empty(node: yaml.Node) -> bool:
    return not node.value or (isinstance(node, yaml.ScalarNode) and node.tag == NULL)


def _written_names(file: Path, node: yaml.Node, problems: list[Problem]) -> dict[int, str]:
    names: dict[int, str] = {}
    changed = []
    for number, value in _numbered_nodes(file, node):
        if not isinstance(value, yaml.ScalarNode):
            raise UnusableData(file, f"the name of class {number} is a list or a mapping, a text is needed")
        if number in names:
            raise UnusableData(file, f"class {number} is named twice, {names[number]!r} and {value.value!r}")
        names[number] = _checked(file, number, value.value)
        if value.tag != TEXT and not NUMBER.fullmatch(value.value):
            changed.append(f"class {number} is called {value.value}, which YAML reads as {value.tag.split(':')[-1]}")
    if changed:
        what = f"{changed[0]}; taken as written, quotes make it clear"
        problems.append(Problem(Kind.CHANGED_CLASS_NAME, str(file), what, len(changed)))
    return dict(sorted(names.items()))


def _numbered_nodes(file: Path, node: yaml.Node) -> Iterable[tuple[int, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        return enumerate(node.value)
    if not isinstance(node, yaml.MappingNode):
        raise UnusableData(file, f"not a YOLO data set, `names` must list the classes, not {node.value[:50]!r}")
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or not NUMBER.fullmatch(key.value):
            shown = repr(key.value[:50]) if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
            raise UnusableData(file, f"`names` must list the classes or name them by number, {shown} is no number")
    return ((int(key.value), value) for key, value in node.value)


def _checked(file: Path, number: int, name: str) -> str:
    if not name.strip():
        raise UnusableData(file, f"class {number} has no name, write one or remove its line")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name.replace("\t", " ")):
        raise UnusableData(file, f"the name of class {number} is no line of text: {name[:50]!a}")
    return name
