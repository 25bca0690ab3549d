"""`centerx doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import centerx
from centerx.cli.output import JsonFile, require_json, say, write_report

if TYPE_CHECKING:
    from centerx.api.doctor import Ability, Installation


def doctor(json_file: JsonFile = None) -> None:
    """Tell what is installed and what works on this machine."""
    require_json(json_file)
    found = centerx.doctor()
    say(f"centerx {found.centerx}, Python {found.python}, {found.platform}")
    say(f"{found.cores} processor cores")
    for extra in found.packages:
        say(f"{extra}: {packages_text(found, extra)}")
    say(f"prediction: {ability_text(found.prediction)}")
    say(f"training: {ability_text(found.training)}")
    write_report(json_file, found.to_json())


def packages_text(found: Installation, extra: str) -> str:
    """How the packages of an extra are told: their versions, or those that are missing."""
    from centerx.api.doctor import CORE

    missing = found.missing(extra)
    if missing:
        install = "centerx" if extra == CORE else f"centerx[{extra}]"
        return f"{', '.join(missing)} missing, run `pip install '{install}'`"
    return ", ".join(f"{name} {version}" for name, version in found.packages[extra].items())


def ability_text(ability: Ability) -> str:
    """How it is told whether something works."""
    return ability.what if ability.works else f"no, {ability.what}"
