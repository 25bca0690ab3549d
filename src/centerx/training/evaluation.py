"""Evaluation during training, with the loop, graph and metrics of `centerx eval`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
import torch.distributed as dist

from centerx.data.source import SampleSource
from centerx.detector import Detector, to_numpy
from centerx.evaluation import Metrics, detect_all, evaluate_found
from centerx.evaluation.run import picture_sizes
from centerx.files import quoted
from centerx.tasks import Task
from centerx.training.module import CenterNetModule
from centerx.types import Batch, Detections, RawDetections

logger = logging.getLogger(__name__)


class Evaluation(L.Callback):
    """Evaluates every few epochs and after the last one.

    Args:
        source: the pictures, in the order of `batches`.
        task: of the detector.
        batches: letterboxed batches; under data parallel this process's share of them.
        every: epochs between evaluations.
        draw: called with the detections by picture index.

    Attributes:
        figures: metrics to log for the current epoch; empty if it is not evaluated.
        metrics: metrics of the latest evaluation.
        improved: whether the current epoch has the best AP so far.
        best_found: detections by picture index of the epoch with the best AP; None before the first evaluation, and in
            a resumed run until AP is better than before.
    """

    def __init__(
        self,
        source: SampleSource,
        task: Task,
        batches: Iterable[Batch],
        every: int,
        draw: Callable[[dict[int, Detections]], None],
    ) -> None:
        self.source, self.task, self.batches = source, task, batches
        self.every = every
        self.draw = draw
        self.best = -1.0
        self.figures: dict[str, float] = {}
        self.metrics: Metrics | None = None
        self.improved = False
        self.best_found: dict[int, Detections] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best AP so far, for a resumed run."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best AP from a checkpoint."""
        self.best = state_dict["best"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluate if the epoch is one of every `every`, or the last."""
        assert isinstance(pl_module, CenterNetModule)
        self.figures, self.improved = {}, False
        done = trainer.current_epoch + 1
        if done % self.every and done != trainer.max_epochs:
            return
        found, broken = gather(*detect_all(torch_detect(pl_module.deployed), self.task, self.batches))
        if not trainer.is_global_zero:
            return
        for message in broken:
            logger.warning(f"not evaluated: {message}")
        self.metrics = evaluate_found(self.source, self.task, found, quiet=self.metrics is not None)
        self.figures = val_figures(self.metrics)
        self.improved = self.figures["val/AP"] > self.best
        if self.improved:
            self.best, self.best_found = self.figures["val/AP"], found
        self.draw(found)


def val_figures(metrics: Metrics) -> dict[str, float]:
    """Return the metrics to log by name. Classes that the data does not label are left out."""
    figures = {"AP": metrics.AP or 0.0, "AP50": metrics.AP50 or 0.0, "AP75": metrics.AP75 or 0.0}
    if metrics.count_error is not None:
        figures["count_error"] = metrics.count_error
    figures |= {f"AP/{quoted(name)}": value for name, value in metrics.per_class.items() if value is not None}
    return {f"val/{name}": value for name, value in figures.items()}


def torch_detect(detector: Detector) -> Callable[[Batch], RawDetections]:
    """Wrap a torch detector for `detect_all`: float32, on its own device."""

    @torch.inference_mode()
    def detect(batch: Batch) -> RawDetections:
        training = detector.training
        device = next(detector.parameters()).device
        sizes = torch.from_numpy(picture_sizes(batch)).to(device)
        found = to_numpy(detector.eval()(batch.images.to(device), sizes))
        detector.train(training)
        return found

    return detect


def gather(found: dict[int, Detections], broken: list[str]) -> tuple[dict[int, Detections], list[str]]:
    """Join the detections and the messages of all data-parallel processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return found, broken
    shares: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(shares, (found, broken))
    merged = {index: detections for share, _ in shares for index, detections in share.items()}
    return merged, [message for _, messages in shares for message in messages]
