"""What differs between a configuration and the one that a run began with."""

from __future__ import annotations

from pathlib import Path

import yaml

from centerx.config.load import dump_config, flat
from centerx.config.schema import Config


def changed_keys(before: Path, config: Config) -> list[str]:
    """Return each key that differs from a run's config.yaml, with both values; none where that cannot be read.

    Args:
        before: the file.
        config: the configuration now.
    """
    try:
        tree = yaml.safe_load(before.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    default = yaml.safe_load(dump_config(Config()))  # a key that is newer than the file
    former = dict(flat(default)) | dict(flat(tree)) if isinstance(tree, dict) else {}
    return [
        f"{key}={value} (was {former.get(key)})"
        for key, value in flat(yaml.safe_load(dump_config(config)))
        if former.get(key) != value
    ]
