"""Data sets on disk -> samples -> batches."""
