"""Type the README and the first two tutorials in a fresh clone; write docs/first-hour.md of it.

python docs/first_hour.py CLONE
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/tutorials/first.md", "docs/tutorials/merge.md")
BLOCK = re.compile(r"(?:<!-- (not run|in a clone): .*? -->\n)?^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
MARK = "@@ command"
WIDTH = 150
PIP = "Looking|Collecting|Requirement|Downloading|Using|Processing|Preparing|Installing|Getting|Building|Created|Stored"
NOISE = re.compile(rf"epoch \d+/\d+  step |WARNING: | *(━|{PIP}|Attempting) ?")
HEAD = """# The first hour

The commands of the README and of the first two tutorials, typed in a fresh clone by `python docs/first_hour.py
CLONE`, and what they printed. Lines of progress within an epoch, all epochs but the first and the last, and the
packages that pip names are left out; so are `make demo` and `make test`, which take longer. A test types the commands
again, with a few pictures and for one epoch.
"""


class Typed(NamedTuple):
    """A command of a page.

    Attributes:
        page: its path from the root of the repository.
        text: as typed; several lines where the shell reads on.
        output: lines printed.
    """

    page: str
    text: str
    output: list[str]


def commands(page: str, clone: bool = False) -> list[str]:
    """Return the commands of a page in order; Python code as a command that reads it.

    Args:
        page: its path from the root of the repository.
        clone: with those that install, which are typed in a fresh clone alone.
    """
    found = []
    for marker, language, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if marker == "not run" or (marker == "in a clone" and not clone):
            continue
        if language == "python":
            found.append(f"python - <<'END'\n{text}END")
        else:
            found += [line for line in re.split(r"(?<!\\)\n", text) if line]
    return found


def type_all(clone: Path) -> list[Typed]:
    """Type the commands of all pages in one shell; a page begins in the clone."""
    typed = [(page, text) for page in PAGES for text in commands(page, clone=True)]
    script = ["exec 2>&1"]
    for number, (page, text) in enumerate(typed):
        if number == 0 or page != typed[number - 1][0]:
            script.append(f"cd '{clone}'")
        script += [f"echo '{MARK}'", text]
    done = subprocess.run(["bash"], input="\n".join(script), stdout=subprocess.PIPE, text=True, check=True)
    outputs = done.stdout.replace(str(clone), "~/centerX").split(f"{MARK}\n")[1:]
    return [Typed(*each, shown(output.splitlines())) for each, output in zip(typed, outputs, strict=True)]


def shown(lines: list[str]) -> list[str]:
    """Leave out what the head of the page says, and the ends of long lines."""
    kept = [line.rstrip() for line in lines if line.strip() and not NOISE.match(line)]
    kept = [re.sub(r"^(Successfully installed) .*", r"\1 ...", line) for line in kept]
    epochs = [re.match(r"epoch (\d+)/(\d+) ", line) for line in kept]
    told = [line for line, found in zip(kept, epochs, strict=True) if not found or found[1] in ("1", found[2])]
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..." for line in told]


def render(typed: list[Typed]) -> str:
    """Return the page."""
    parts = [HEAD]
    for page in PAGES:
        parts.append(f"## {page}\n")
        for each in typed:
            if each.page == page:
                parts.append("\n".join(["```console", f"$ {each.text}", *each.output, "```", ""]))
    return "\n".join(parts)


def main() -> None:
    """Type and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a fresh clone")
    clone = parser.parse_args().clone.resolve()
    (ROOT / "docs" / "first-hour.md").write_text(render(type_all(clone)), encoding="utf-8")


if __name__ == "__main__":
    main()
