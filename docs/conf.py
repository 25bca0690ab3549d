"""Settings of Sphinx: `make site` builds the pages into site/, from the root so that links between all pages hold."""

from __future__ import annotations

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import centerx

project = "centerX"
author = "the centerX authors"
version = release = centerx.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "experiments/*.md"]
exclude_patterns = [".*", "build", "demo", "practice", "runs", "site", "src", "tests"]
myst_heading_anchors = 4
default_role = "code"  # of docstrings, whose words in single backquotes are code
maximum_signature_line_length = 88
autodoc_member_order = "bysource"
napoleon_use_ivar = True
html_theme = "furo"
html_title = "centerX"
html_show_copyright = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/icon.svg"
html_extra_path = ["root"]  # index.html, which leads to docs/


def setup(app: Sphinx) -> None:
    """Show diagrams of Mermaid as the text that they are: a script to draw them would come from another server."""
    app.add_lexer("mermaid", TextLexer)
