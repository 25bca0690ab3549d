"""The configuration: a strict schema, read from YAML with inheritance and overrides."""

from centerx.config.load import dump_config, flat, load_config, parse_config, parse_text, preset_names
from centerx.config.schema import Config

__all__ = ["Config", "dump_config", "flat", "load_config", "parse_config", "parse_text", "preset_names"]
