"""Write docs/config.md from the schema: every key with its type, default and meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from centerx.config.schema import Config, DataEntry

HEAD = """# Configuration

Written by `make docs` from `src/centerx/config/schema.py`. A YAML file holds these keys; `base:` names another file or
preset to start from, and `key=value` on the command line has the last word. Unknown keys are errors.

`data.train` and `data.val` are lists of entries; one entry, or just its path, may stand for a list of one.
"""


def sections(model: type[BaseModel], prefix: str) -> list[tuple[str, type[BaseModel]]]:
    """The model and every section below it, with the dotted prefix of its keys."""
    found = [(prefix, model)]
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += sections(field.annotation, f"{prefix}{name}.")
    return found


def table(prefix: str, model: type[BaseModel]) -> str:
    """One section as a Markdown table of its own keys."""
    lines = [f"## {prefix.rstrip('.') or 'top level'}", "", (model.__doc__ or "").strip(), ""]
    lines += ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            default = "required" if field.is_required() else f"`{shown(field.default)}`"
            choices = [str(each) for each in get_args(field.annotation) if isinstance(each, str)]
            extra = f" ({', '.join(choices)})" if choices else ""
            lines.append(f"| `{prefix}{name}` | {default} | {field.description}{extra} |")
    return "\n".join(lines)


def shown(value: Any) -> str:
    """A default as one writes it in YAML."""
    if isinstance(value, tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else str(value)
    )


def render() -> str:
    """The whole page."""
    parts = [table(prefix, model) for prefix, model in sections(Config, "") if any_leaf(model)]
    return "\n\n".join([HEAD.rstrip(), *parts, table("data.train[].", DataEntry)]) + "\n"


def any_leaf(model: type[BaseModel]) -> bool:
    """Whether the section has keys of its own."""
    return any(
        not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
        for field in model.model_fields.values()
    )


if __name__ == "__main__":
    Path(__file__).with_name("config.md").write_text(render(), encoding="utf-8")
