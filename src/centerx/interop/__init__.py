"""Weights and configurations of other code bases -> files of this one."""
