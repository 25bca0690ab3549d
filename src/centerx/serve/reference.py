"""The page `/docs`: what the server takes and answers, from its OpenAPI description. It loads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #8888;padding:.2em .6em;text-align:left}"
)


def reference_page(openapi: dict[str, Any]) -> str:
    """Return a page of HTML.

    Args:
        openapi: the OpenAPI description of an application.
    """
    title = escape(openapi["info"]["title"])
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>',
        f"<h1>{title}</h1>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            parts += [f"<h2>{method.upper()} {escape(path)}</h2>", f"<p>{escape(operation['description'])}</p>"]
            parts += [_parameters(operation), _body(operation), _responses(operation)]
    return "\n".join(filter(None, parts))


def _parameters(operation: dict[str, Any]) -> str:
    rows = []
    for each in operation.get("parameters", ()):
        default = each["schema"].get("default", "")
        rows.append((each["name"], each["in"], default, each.get("description", "")))
    return _table(("parameter", "in the", "without it", "meaning"), rows)


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    rows = [(kind, ", ".join(each["schema"].get("properties", ()))) for kind, each in content.items()]
    return _table(("body", "fields"), rows)


def _responses(operation: dict[str, Any]) -> str:
    rows = [(status, each["description"]) for status, each in operation["responses"].items()]
    return _table(("status", "meaning"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return "\n".join(("<table>", f"<tr>{titles}</tr>", *lines, "</table>")) if lines else ""
