"""How commands put things."""

from enum import StrEnum

FRAME_HELP = "what the boxes are of: the picture as a viewer shows it, or as it is stored, before EXIF turns it"


class Frame(StrEnum):
    """What the boxes of a data set are of."""

    UPRIGHT = "upright"
    STORED = "stored"


def plural(count: int, noun: str, ending: str = "s") -> str:
    """A number of things: `1 picture`, `2 pictures`."""
    return f"{count} {noun}{'' if count == 1 else ending}"
