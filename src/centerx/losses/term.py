"""What a loss term is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

FEATURES = "features"  # the term of a teacher's features, which is about no field


class Term(NamedTuple):
    """The name of a loss term.

    Attributes:
        field: `heatmap`, a field of the task, or `features`.
        teacher: the name of the teacher; None of labels.
        classes: the classes that the teacher teaches; empty where it is about all.
    """

    field: str
    teacher: str | None = None
    classes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name in metrics.csv and logs."""
        return self.field if self.teacher is None else f"kd/{self.teacher}/{self.field}"

    def __str__(self) -> str:
        """Its name in messages."""
        return f"{self.label} ({', '.join(self.classes)})" if self.classes else self.label


Terms = Mapping[Term, Tensor]
