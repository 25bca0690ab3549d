"""Write docs/config.md, the tables of data.md, foreign.md and results/, the sizes of presets; check the links.

python docs/generate.py
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from centerx.config import preset_names
from centerx.config.load import PRESETS
from centerx.config.schema import Config, DataEntry, TeacherConfig
from centerx.problems import Kind
from centerx.runtime.foreign.adapter import Adapter

from tables import render_tables

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "config.md"
DATA_PAGE = ROOT / "docs" / "data.md"
FOREIGN_PAGE = ROOT / "docs" / "foreign.md"
PARAMETERS = PRESETS / "parameters.csv"
RESULTS = sorted((ROOT / "docs" / "results").glob("*.md"))
KEYS = re.compile(r"(<!-- keys: .*? -->\n).*?(<!-- end of keys -->)", re.DOTALL)
KINDS = re.compile(r"(<!-- kinds: .*? -->\n).*?(<!-- end of kinds -->)", re.DOTALL)
HEAD = """# Configuration

Written by `make docs` from `src/centerx/config/schema.py`. A YAML file holds these keys; `base:` names another file or
preset to start from, and `key=value` on the command line has the last word. Unknown keys are errors.

`data.train`, `data.val` and `distill.teachers` are lists of entries; one entry, or just its path, may stand for a list
of one.
"""


def render() -> str:
    """The whole page."""
    tables = [table(prefix, model) for prefix, model in sections(Config, "")]
    of_lists = (("data.train[].", DataEntry), ("distill.teachers[].", TeacherConfig))
    entries = [table(*each) for prefix, model in of_lists for each in sections(model, prefix)]
    return "\n\n".join([HEAD.rstrip(), *tables, *entries]) + "\n"


def render_data_page() -> str:
    """The page on data with its table of kinds made anew."""
    lines = ["| kind | action | what |", "|---|---|---|"]
    lines += [f"| `{kind.code}` | {kind.action} | {kind.meaning} |" for kind in Kind]
    table = "\n".join(lines)
    return KINDS.sub(rf"\1\n{table}\n\n\2", DATA_PAGE.read_text(encoding="utf-8"))


def render_foreign_page() -> str:
    """The page on detectors of other projects with its tables of keys made anew."""
    tables = "\n\n".join(table(prefix, model).replace("## ", "### ", 1) for prefix, model in sections(Adapter, ""))
    return KEYS.sub(lambda found: f"{found[1]}\n{tables}\n\n{found[2]}", FOREIGN_PAGE.read_text(encoding="utf-8"))


def sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The model and every section below it, with the dotted prefix of its keys."""
    yield prefix, model
    for name, field in model.model_fields.items():
        if (section := section_of(field)) is not None:
            yield from sections(section, f"{prefix}{name}.")


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds; None where it holds a value."""
    annotation = field.annotation
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def table(prefix: str, model: type[BaseModel]) -> str:
    """One section as a Markdown table of its own keys."""
    lines = [f"## {prefix.rstrip('.') or 'top level'}", "", inspect.cleandoc(model.__doc__ or ""), ""]
    lines += ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if section_of(field) is None:
            default = "required" if field.is_required() else f"`{shown(field.default)}`"
            choices = ", ".join(f"`{each}`" for each in get_args(field.annotation) if isinstance(each, str))
            extra = f" ({choices})" if choices else ""
            lines.append(f"| `{prefix}{name}` | {default} | {field.description}{extra} |")
    return "\n".join(lines)


def shown(value: Any) -> str:
    """A default as one writes it in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    return sorted(page for folder in ("*.md", "docs/**/*.md", "experiments/*.md") for page in ROOT.glob(folder))


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def broken_links(page: Path) -> list[str]:
    """Relative links and pictures of a page that lead to no file, or to no heading of theirs."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    relative = [target for target in targets if not re.match(r"[a-z]+:", target)]
    return [target for target in relative if not leads_somewhere(page, target)]


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a link such as `docs/train.md#the-run-folder` has its file and its heading."""
    place, _, anchor = target.partition("#")
    file = page.parent / place if place else page
    return file.exists() and (not anchor or anchor in anchors(file))


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def count_parameters(name: str) -> int:
    """The parameters of a preset's network, with one class where the preset names none."""
    import torch

    from centerx.build_model import build_model
    from centerx.config import load_config

    config = load_config(name, ["model.pretrained=false"])
    with torch.device("meta"):
        model = build_model(config.model_copy(update={"classes": config.classes or ("object",)}))
    return sum(parameter.numel() for parameter in model.parameters())


def render_parameters() -> str:
    """The file from which `centerx presets` has the sizes of networks."""
    return "preset,parameters\n" + "".join(f"{name},{count_parameters(name)}\n" for name in preset_names())


def main() -> None:
    """Write the pages; end with status 1 and a list where links are broken."""
    PAGE.write_text(render(), encoding="utf-8")
    DATA_PAGE.write_text(render_data_page(), encoding="utf-8")
    FOREIGN_PAGE.write_text(render_foreign_page(), encoding="utf-8")
    PARAMETERS.write_text(render_parameters(), encoding="utf-8")
    for page in RESULTS:
        page.write_text(render_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    broken = [f"{page.relative_to(ROOT)}: {link}" for page in pages() for link in broken_links(page)]
    if broken:
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))


if __name__ == "__main__":
    main()
