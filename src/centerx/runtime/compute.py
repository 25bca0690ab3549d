"""Where a backend computes, and with how many threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from centerx.errors import InputError, nearest

MOST_THREADS = 1024


class Compute(NamedTuple):
    """Where and how a backend computes.

    Attributes:
        threads: of the processor for one call of the network; None for what the backend takes by itself.
        providers: names of devices, or of ONNX Runtime's execution providers, in order of preference; empty for the
            processor.
    """

    threads: int | None = None
    providers: tuple[str, ...] = ()

    @classmethod
    def of(cls, threads: int | None, providers: str | Sequence[str] | None) -> Compute:
        """Return the value after checking it.

        Args:
            threads: from 1 to MOST_THREADS, or None.
            providers: a name, or several.

        Raises:
            InputError: the number is none of these, or a name is empty.
        """
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            wrong = "below 1" if threads < 1 else f"above {MOST_THREADS}"
            raise InputError(f"threads: {threads} is {wrong}, leave it out for what the backend takes by itself")
        names = (providers,) if isinstance(providers, str) else tuple(providers or ())
        if not all(names):
            raise InputError("providers: a name is empty, give some such as cuda,cpu")
        return cls(threads, names)

    def choose(self, backend: str, available: Sequence[str]) -> list[str]:
        """Return the providers that are asked for, in the spelling of the backend; the processor where none is.

        Args:
            backend: name for messages.
            available: names of the backend here, `cpu` among them. Case does not matter, nor the ending
                `ExecutionProvider`.

        Raises:
            InputError: one of them is not available.
        """
        known = {_short(name): name for name in available}
        for name in self.providers:
            if _short(name) not in known:
                raise InputError(
                    f"providers: {backend} has no {name!r} here{nearest(_short(name), known)}, it has: "
                    f"{', '.join(known)}"
                )
        return [known[_short(name)] for name in self.providers] or [known["cpu"]]

    def choose_one(self, backend: str, available: Sequence[str] = ("cpu",)) -> str:
        """Return the only provider, of a backend that runs on one device; see `choose`.

        Raises:
            InputError: it is not available, or several are asked for.
        """
        chosen = self.choose(backend, available)
        if len(chosen) > 1:
            raise InputError(
                f"providers: {backend} runs on one device, name one of {', '.join(map(_short, available))}"
            )
        return chosen[0]


PLAIN = Compute()


def _short(provider: str) -> str:
    return provider.lower().removesuffix("executionprovider")
