"""The site builds without a warning, finds words, documents the functions, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import centerx

pytest.importorskip("sphinx")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make site` builds it."""
    out = tmp_path_factory.mktemp("site")
    command = re.search(r"\$\(BIN\)/sphinx-build (.*) site\n", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert command is not None
    words = [sys.executable, "-m", "sphinx", *command[1].split(), str(out / "html"), "-d", str(out / "kept")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_page_is_there(site: Path) -> None:
    pages = [page.relative_to(ROOT).with_suffix(".html") for page in ROOT.glob("docs/**/*.md")]
    assert len(pages) > 30
    assert [page for page in pages if not (site / page).is_file()] == []
    assert 'url=docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_words_are_found_and_functions_documented(site: Path) -> None:
    assert "letterbox" in (site / "searchindex.js").read_text(encoding="utf-8")
    reference = (site / "docs" / "reference" / "api.html").read_text(encoding="utf-8")
    public = [name for name in centerx.__all__ if not name.startswith("__")]
    assert [name for name in public if f'id="centerx.{name}"' not in reference] == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = r'<(?:script|img|iframe)[^>]+src="([^"]+)"|<link[^>]+href="([^"]+)"|@import|url\((["\']?https?:[^)]+)\)'
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        for groups in re.findall(loaded, path.read_text(encoding="utf-8")):
            assert not any(each.startswith(("http:", "https:", "//")) for each in groups), path
