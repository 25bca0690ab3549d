"""Trained detectors -> files that other runtimes execute."""

from centerx.exporting.registry import FORMATS, ExportOptions, export_model, find_format

__all__ = ["FORMATS", "ExportOptions", "export_model", "find_format"]
