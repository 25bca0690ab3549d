"""The configuration: a strict schema, read from YAML with inheritance and overrides."""

from centerx.config.changes import changed_keys
from centerx.config.load import (
    ConfigSource,
    Overrides,
    dump_config,
    flat,
    known_keys,
    load_config,
    parse_config,
    parse_text,
    preset_names,
    read_yaml,
)
from centerx.config.schema import Config

__all__ = [
    "Config",
    "ConfigSource",
    "Overrides",
    "changed_keys",
    "dump_config",
    "flat",
    "known_keys",
    "load_config",
    "parse_config",
    "parse_text",
    "preset_names",
    "read_yaml",
]
