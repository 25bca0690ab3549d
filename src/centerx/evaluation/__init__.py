"""Detections -> COCO metrics."""

from centerx.evaluation.coco import Metrics, coco_metrics
from centerx.evaluation.results import read_results
from centerx.evaluation.run import detect_all, evaluate_found

__all__ = ["Metrics", "coco_metrics", "detect_all", "evaluate_found", "read_results"]
