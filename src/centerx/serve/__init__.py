"""HTTP server for a model, without torch. It takes uploads and returns the JSON of `predict`."""

from __future__ import annotations

from centerx.serve.access import Access
from centerx.serve.app import Limits, create_app

__all__ = ["Access", "Limits", "create_app"]
