"""centerX: train, distil, merge and ship CenterNet object detectors.

    import centerx

    detector = centerx.load("model.onnx")
    detections = detector("picture.jpg")

The commands are functions too: `train`, `tune`, `merge`, `add`, `audit`, `evaluate`, `predict`, `export`, `inspect`,
`label` for `pseudo`, `plan` for `train --dry-run`, `check_data`, `convert_data`, `split_data`, `merge_data`,
`data_stats`, `draw_data`, `import_file`, `benchmark`, `doctor`, `list_models` and `list_presets`. `read_dataset` gives
labels as a `Dataset`, and `heatmaps` what a network says. They return results, print nothing and log through `logging`.

Importing this package, and running an exported model with it, needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from centerx.api.add import AddResult, add
    from centerx.api.audit import AuditResult, audit
    from centerx.api.benchmark import benchmark
    from centerx.api.data import ConvertedData, DataCheck, DrawnData, check_data, convert_data, draw_data
    from centerx.api.doctor import Installation, doctor
    from centerx.api.evaluate import evaluate
    from centerx.api.export import ExportedFile, export
    from centerx.api.heatmaps import heatmaps
    from centerx.api.import_file import ImportedFile, import_file
    from centerx.api.inspect import Inspection, inspect
    from centerx.api.label import LabelResult, label
    from centerx.api.merge import MergeResult, merge
    from centerx.api.models import ModelFile, ModelList, list_models
    from centerx.api.plan import plan, plan_add, plan_merge
    from centerx.api.predict import Prediction, predict
    from centerx.api.presets import Preset, list_presets
    from centerx.api.sets import MergedData, SplitPart, data_stats, merge_data, split_data
    from centerx.api.train import TrainResult, train
    from centerx.api.tune import TunePlan, TuneResult, plan_tune, tune
    from centerx.build_plan import TrainPlan
    from centerx.data.dataset import Dataset
    from centerx.data.read import read_dataset
    from centerx.errors import InputError
    from centerx.evaluation import Metrics
    from centerx.runtime import Predictor, load
    from centerx.types import Detection, Detections

__version__ = "0.1.0"

__all__ = [
    "AddResult",
    "AuditResult",
    "ConvertedData",
    "DataCheck",
    "Dataset",
    "Detection",
    "Detections",
    "DrawnData",
    "ExportedFile",
    "ImportedFile",
    "InputError",
    "Inspection",
    "Installation",
    "LabelResult",
    "MergeResult",
    "MergedData",
    "Metrics",
    "ModelFile",
    "ModelList",
    "Prediction",
    "Predictor",
    "Preset",
    "SplitPart",
    "TrainPlan",
    "TrainResult",
    "TunePlan",
    "TuneResult",
    "__version__",
    "add",
    "audit",
    "benchmark",
    "check_data",
    "convert_data",
    "data_stats",
    "doctor",
    "draw_data",
    "evaluate",
    "export",
    "heatmaps",
    "import_file",
    "inspect",
    "label",
    "list_models",
    "list_presets",
    "load",
    "merge",
    "merge_data",
    "plan",
    "plan_add",
    "plan_merge",
    "plan_tune",
    "predict",
    "read_dataset",
    "split_data",
    "train",
    "tune",
]

_HOMES = {
    "AddResult": "centerx.api.add",
    "AuditResult": "centerx.api.audit",
    "ConvertedData": "centerx.api.data",
    "DataCheck": "centerx.api.data",
    "Dataset": "centerx.data.dataset",
    "Detection": "centerx.types",
    "Detections": "centerx.types",
    "DrawnData": "centerx.api.data",
    "ExportedFile": "centerx.api.export",
    "ImportedFile": "centerx.api.import_file",
    "InputError": "centerx.errors",
    "Inspection": "centerx.api.inspect",
    "Installation": "centerx.api.doctor",
    "LabelResult": "centerx.api.label",
    "MergeResult": "centerx.api.merge",
    "MergedData": "centerx.api.sets",
    "Metrics": "centerx.evaluation",
    "ModelFile": "centerx.api.models",
    "ModelList": "centerx.api.models",
    "Prediction": "centerx.api.predict",
    "Predictor": "centerx.runtime",
    "Preset": "centerx.api.presets",
    "SplitPart": "centerx.api.sets",
    "TrainPlan": "centerx.build_plan",
    "TrainResult": "centerx.api.train",
    "TunePlan": "centerx.api.tune",
    "TuneResult": "centerx.api.tune",
    "add": "centerx.api.add",
    "audit": "centerx.api.audit",
    "benchmark": "centerx.api.benchmark",
    "check_data": "centerx.api.data",
    "convert_data": "centerx.api.data",
    "data_stats": "centerx.api.sets",
    "doctor": "centerx.api.doctor",
    "draw_data": "centerx.api.data",
    "evaluate": "centerx.api.evaluate",
    "export": "centerx.api.export",
    "heatmaps": "centerx.api.heatmaps",
    "import_file": "centerx.api.import_file",
    "inspect": "centerx.api.inspect",
    "label": "centerx.api.label",
    "list_models": "centerx.api.models",
    "list_presets": "centerx.api.presets",
    "load": "centerx.runtime",
    "merge": "centerx.api.merge",
    "merge_data": "centerx.api.sets",
    "plan": "centerx.api.plan",
    "plan_add": "centerx.api.plan",
    "plan_merge": "centerx.api.plan",
    "plan_tune": "centerx.api.tune",
    "predict": "centerx.api.predict",
    "read_dataset": "centerx.data.read",
    "split_data": "centerx.api.sets",
    "train": "centerx.api.train",
    "tune": "centerx.api.tune",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that `centerx --help` loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List what can be asked for."""
    return sorted({*globals(), *_HOMES})
