"""Teachers that are functions of Python: a run's configuration names the file that keeps what they find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centerx.errors import InputError

if TYPE_CHECKING:
    from centerx.data.function import Function


def keep_functions(
    teachers: Sequence[str | Path | Mapping[str, Any] | Callable[..., Any]], folder: Path
) -> tuple[list[str | Path | Mapping[str, Any]], dict[str, Function]]:
    """Put the file that keeps what it finds in place of each function.

    Args:
        teachers: files, entries of the configuration, functions, and entries with a function under `detect`.
        folder: of the run, in whose folder of teachers the files are.

    Returns:
        The teachers as the configuration has them, and the functions by the file of each.

    Raises:
        InputError: an entry has a file as well, or two functions have one name.
    """
    from centerx.build_teachers import store_file
    from centerx.data.function import Function

    kept: list[str | Path | Mapping[str, Any]] = []
    functions: dict[str, Function] = {}
    for each in teachers:
        if isinstance(each, str | Path) or (isinstance(each, Mapping) and "detect" not in each):
            kept.append(each)
            continue
        entry: Mapping[str, Any] = each if isinstance(each, Mapping) else {"detect": each}
        call, given = entry["detect"], entry.get("class_names")
        names = None if given is None else (given,) if isinstance(given, str) else tuple(given)
        name = str(entry.get("name") or getattr(call, "__name__", type(call).__name__.lower()))
        file = str(store_file(True, folder, name))
        if not callable(call) or "weights" in entry:
            raise InputError(f"teachers: {name}: detect must be a function, without weights beside it")
        if file in functions:
            raise InputError(f"teachers: two functions are called {name!r}, give each a name in an entry with detect")
        functions[file] = Function(call, names, name)
        others = {key: value for key, value in entry.items() if key not in ("detect", "class_names")}
        kept.append({"weights": file, "name": name, **others})
    return kept, functions
