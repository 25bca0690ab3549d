"""The packages that this one brings: bounded, pinned, hashed, and of licences that go with its own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
TOOLS = ("dev", "site")  # extras of those who work on this package
LOCKS = {
    "serve": ("serve",),
    "all": tuple(extra for extra in EXTRAS if extra not in TOOLS),
}
OF_TORCH = re.compile(r"(nvidia|cuda)-.*|triton")  # which of them depends on the build of torch
COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General Public License", re.IGNORECASE)
# On one platform alone, which is not this one.
ELSEWHERE = {"httpx2-jsfetch"}


def requirements(extras: Iterable[str]) -> Iterator[Requirement]:
    """What `pip install centerx[extras]` asks for."""
    for line in [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            yield from requirements(requirement.extras)
        else:
            yield requirement


def installed(extras: Iterable[str]) -> set[str]:
    """Names of all packages that the extras bring here."""
    found: set[tuple[str, str]] = set()
    names: set[str] = set()
    waiting = list(requirements(extras))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in found:
                continue
            found.add((name, extra))
            try:
                needs = distribution(name).requires or ()
            except PackageNotFoundError:
                pytest.skip(f"{name} is not installed, run `make setup`")
            names.add(name)
            marked = map(Requirement, needs)
            waiting += [each for each in marked if not each.marker or each.marker.evaluate({"extra": extra})]
    return names


def pins(path: Path) -> dict[str, str]:
    """Versions by names."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    names = [canonicalize_name(name) for name, _ in found]
    assert len(names) == len(set(names))
    return dict(zip(names, (version for _, version in found), strict=True))


PINNED = pins(ROOT / "constraints.txt")


def test_every_requirement_has_an_upper_bound() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for requirement in [*requirements(EXTRAS), *map(Requirement, build)]:
        assert any(each.operator in ("<", "==") for each in requirement.specifier), requirement


def test_every_package_is_pinned() -> None:
    missing = {name for name in installed(EXTRAS) - set(PINNED) if not OF_TORCH.fullmatch(name)}
    assert not missing, f"add them to constraints.txt: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_whole_and_agrees_with_the_constraints(lock: str) -> None:
    """`make locks` renews them."""
    path = ROOT / "locks" / f"{lock}.txt"
    locked, text = pins(path), path.read_text()
    assert installed(LOCKS[lock]) <= set(locked)
    assert {name: locked[name] for name in locked if name in PINNED} == {
        name: version for name, version in PINNED.items() if name in locked
    }
    assert all(OF_TORCH.fullmatch(name) for name in set(locked) - set(PINNED) - ELSEWHERE)
    assert "://" not in text
    entries = re.split(r"^(?=\w)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def licences(name: str) -> str:
    about = distribution(name).metadata
    classifiers = [each for each in about.get_all("Classifier", ()) if each.startswith("License ::")]
    lines = (about.get("License") or "").strip().splitlines()[:1]
    return "; ".join([about.get("License-Expression") or "", *classifiers, *lines])


def test_no_package_at_run_time_is_under_the_gpl() -> None:
    found = {name: licences(name) for name in installed(LOCKS["all"])}
    assert {name: text for name, text in found.items() if COPYLEFT.search(text)} == {}


def test_the_check_of_licences_knows_the_gpl() -> None:
    """By a tool that is under it, and with which no part of this package is linked."""
    assert COPYLEFT.search(licences("codespell"))
    assert not COPYLEFT.search("LGPL-3.0-only; GNU Lesser General Public License v3")
