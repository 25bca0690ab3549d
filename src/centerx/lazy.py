"""Lists whose elements are made each time they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class LazySequence(Sequence[T]):
    """A list that says how long it is and makes any of its elements."""

    @abstractmethod
    def make(self, place: int) -> T:
        """Return an element, from 0 on."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self))[index]
        return self.make(places) if isinstance(places, int) else [self.make(place) for place in places]

    def __iter__(self) -> Iterator[T]:
        return map(self.make, range(len(self)))
