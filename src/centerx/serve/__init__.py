"""A model behind HTTP, without torch: uploads in, the JSON of `predict` out."""

from __future__ import annotations

from centerx.serve.app import Limits, create_app

__all__ = ["Limits", "create_app"]
