"""What training minimises."""

from centerx.losses.criterion import CenterCriterion

__all__ = ["CenterCriterion"]
