"""Detections -> COCO metrics."""

from centerx.evaluate.coco import Metrics, coco_metrics
from centerx.evaluate.results import read_results
from centerx.evaluate.run import detect_all, evaluate_found

__all__ = ["Metrics", "coco_metrics", "detect_all", "evaluate_found", "read_results"]
