"""What differs between a configuration and the one that a run began with."""

from __future__ import annotations

from pathlib import Path

import yaml

from centerx.config.load import dump_config, flat, parse_text
from centerx.config.schema import Config
from centerx.errors import InputError


def changed_keys(before: Path, config: Config) -> list[str]:
    """Return each key that differs from a run's config.yaml, with both values; none where that cannot be read.

    Args:
        before: the file.
        config: the configuration now.
    """
    try:
        former = parse_text(before.read_text(encoding="utf-8"), before)  # fills in keys that are newer than the file
    except (OSError, ValueError, InputError):
        return []
    first, now = (dict(flat(yaml.safe_load(dump_config(each)))) for each in (former, config))
    return [f"{key}={value} (was {first.get(key)})" for key, value in now.items() if first.get(key) != value]
