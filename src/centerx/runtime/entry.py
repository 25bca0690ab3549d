"""Detections -> the JSON entry of a picture: what `predict --json` writes and `serve` answers."""

from __future__ import annotations

from typing import Any

from centerx.tasks import task_of
from centerx.types import Detections


def to_dict(name: str, image_hw: tuple[int, ...], detections: Detections) -> dict[str, Any]:
    """The entry of one picture: positions in pixels of the picture as a viewer shows it.

    Args:
        name: of the picture.
        image_hw: its height and width in pixels.
        detections: of it.
    """
    height, width = image_hw
    return {
        "image": name,
        "width": width,
        "height": height,
        **({"joints": list(detections.joints.names)} if detections.joints.names else {}),
        "detections": [
            {"label": detections.class_names[label], "score": float(score)} | geometry
            for label, score, geometry in zip(
                detections.labels, detections.scores, task_of(detections).to_dict(detections), strict=True
            )
        ],
    }
