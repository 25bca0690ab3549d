"""Trained detectors -> files that other runtimes execute."""

from centerx.exporting.registry import FORMATS, Request, export_model, find_format

__all__ = ["FORMATS", "Request", "export_model", "find_format"]
