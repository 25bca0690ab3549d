"""How long the steps of a training take."""

from __future__ import annotations

import time
from statistics import median

import lightning as L
import torch

WARM_UP, MEASURED = 1, 3  # steps: the first is slow, as caches are empty and workers start


class StepClock(L.Callback):
    """Takes the time at the end of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_start(self, *_: object) -> None:
        """Start the clock."""
        self.times = [time.perf_counter()]

    def on_train_batch_end(self, *_: object) -> None:
        """Take the time when the device is done."""
        self.tick()

    def tick(self) -> None:
        """Take the time when the device is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """The median time of a step behind the warm-up; of all where there is none behind it."""
        spent = [end - start for start, end in zip(self.times[:-1], self.times[1:], strict=True)]
        return median(spent[WARM_UP:] or spent or [0.0])
