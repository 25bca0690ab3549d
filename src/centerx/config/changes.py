"""What differs between a configuration and the one that a run began with."""

from __future__ import annotations

from pathlib import Path

import yaml

from centerx.config.load import dump_config, flat, parse_text
from centerx.config.schema import Config
from centerx.contents import read_plain
from centerx.errors import InputError


def changed_keys(before: Path, config: Config, needed: bool = False) -> list[str]:
    """Return each key that differs from a run's config.yaml, with both values; none where that cannot be read.

    Args:
        before: the file.
        config: the configuration now.
        needed: whether the file must be readable.

    Raises:
        InputError: it is needed and cannot be read.
    """
    try:
        former = parse_text(read_plain(before).decode(), before)  # fills in keys that are newer than the file
    except (OSError, ValueError, InputError) as error:
        if needed:
            raise InputError(f"{before}: cannot be read, so nothing can be compared with it ({error})") from None
        return []
    first, now = (dict(flat(yaml.safe_load(dump_config(each)))) for each in (former, config))
    return [f"{key}={value} (was {first.get(key)})" for key, value in now.items() if first.get(key) != value]
