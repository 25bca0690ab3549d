"""Detectors of other projects: an adapter says how a file sees and what it says."""
