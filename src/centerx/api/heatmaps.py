"""`centerx.heatmaps`: what a network says of the centres of each class, over the picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from centerx.errors import InputError

if TYPE_CHECKING:
    from centerx.overlay import Heatmaps
    from centerx.runtime import Predictor
    from centerx.runtime.picture import Picture


def heatmaps(model: str | Path | Predictor, picture: Picture, *, name: str | None = None) -> Heatmaps:
    """Return the heatmaps of a model on a picture; `values` are (C, H, W) probabilities at the picture's pixels.

    `centerx.overlay.draw_heatmaps` draws them.

    Args:
        model: a `.safetensors` model file, or what `centerx.load` makes of it.
        picture: as what `centerx.load` returns takes it.
        name: what to call the model in drawings; its path without it.

    Raises:
        InputError: the model has no heatmaps, as an exported file, or the picture cannot be read.
    """
    from centerx.overlay import Heatmaps
    from centerx.runtime import Predictor, load
    from centerx.runtime.picture import to_image

    path = "the predictor" if isinstance(model, Predictor) else str(model)
    predictor = model if isinstance(model, Predictor) else load(model)
    require_heatmaps(predictor, path)
    info = predictor.session.info
    image = to_image(picture, False, info.value_range)
    placed = predictor.preprocess(image)
    (cells,) = predictor.session.heatmaps(placed.image.transpose(2, 0, 1)[None])  # type: ignore[attr-defined]
    return Heatmaps(name or path, image, cells, info.class_names, placed.letterbox, info.stride)


def require_heatmaps(predictor: Predictor, name: str | Path) -> None:
    """Raise unless a model gives its heatmaps.

    Args:
        predictor: the model.
        name: of it, for the error.

    Raises:
        InputError: it does not.
    """
    if not hasattr(predictor.session, "heatmaps"):
        raise InputError(
            f"{name}: has no heatmaps, only a .safetensors model file of this project shows them, give one"
        )
