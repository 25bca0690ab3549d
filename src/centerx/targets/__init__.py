"""What a CenterNet should answer for a batch."""

from centerx.targets.centers import center_targets, gaussian_radius

__all__ = ["center_targets", "gaussian_radius"]
