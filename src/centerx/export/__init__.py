"""Trained detectors -> files that other runtimes execute."""

from centerx.export.registry import FORMATS, export_model, find_format

__all__ = ["FORMATS", "export_model", "find_format"]
