"""How commands put things."""


def plural(count: int, noun: str, ending: str = "s") -> str:
    """A number of things: `1 picture`, `2 pictures`."""
    return f"{count} {noun}{'' if count == 1 else ending}"
