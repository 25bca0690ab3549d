"""The report of a finished run: its curves, and what its best model does on the validation data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning as L

from centerx.evaluation import evaluate_found
from centerx.evaluation.report import make_report
from centerx.evaluation.report_page import write_report
from centerx.page import Section, draw_chart
from centerx.training.evaluation import Evaluation
from centerx.training.record import CURVES_INCHES, RunLogger, plot_curves
from centerx.types import Detections

logger = logging.getLogger(__name__)


class RunReport(L.Callback):
    """Writes the folder `report` at the end of a run.

    Args:
        folder: folder of the run.
        data: what to call the validation data.
        evaluation: whose best detections to report.
        record: of the run, for its curves.
        detect_best: runs the best model, for a resumed run whose best epoch was before; returns detections by picture
            index, None where there is no such model.
    """

    def __init__(
        self,
        folder: Path,
        data: str,
        evaluation: Evaluation,
        record: RunLogger,
        detect_best: Callable[[], dict[int, Detections] | None],
    ) -> None:
        self.folder, self.data = folder, data
        self.evaluation, self.record = evaluation, record
        self.detect_best = detect_best

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the report, where there is a best model."""
        if not trainer.is_global_zero:
            return
        source, found = self.evaluation.source, self.evaluation.best_found
        found = self.detect_best() if found is None else found
        if found is None:
            logger.warning(f"{self.folder}: no report, since it has no best.safetensors")
            return
        metrics = evaluate_found(source, source.task, found, quiet=True)
        report = make_report(str(self.folder / "best.safetensors"), self.data, source, found, metrics)
        curves = draw_chart(
            partial(plot_curves, rows=self.record.rows),
            "Loss terms, learning rate and AP of each epoch; the numbers are in metrics.csv.",
            CURVES_INCHES,
        )
        write_report(self.folder / "report", report, [Section("Training", [curves])])
