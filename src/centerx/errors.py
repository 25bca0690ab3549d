"""The error for wrong input, as opposed to bugs of the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Wrong input of the user.

    The message is one line that says what is wrong, where, and what to do. The command line prints it as `error: ...`
    and exits with status 2.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for a misspelt name.

    Args:
        name: the unknown name.
        known: the known names.

    Returns:
        ` (did you mean 'X'?)` with the closest known name, or an empty string if none is close.
    """
    spelt = {each.casefold(): each for each in known}
    matches = difflib.get_close_matches(name.casefold(), spelt, n=1, cutoff=0.6)
    return f" (did you mean {spelt[matches[0]]!r}?)" if matches else ""
