"""The one error that means 'the input is wrong', as opposed to a fault of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave is wrong.

    The message is one line that says what is wrong, where, and what to do; the command line prints it as
    `error: ...` and ends with status 2.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the closest known name, or '' where none is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
