"""Tasks: what a detector finds. Each names the fields that an object carries and says how they become detections."""

from centerx.tasks.boxes import BOXES
from centerx.tasks.center import CENTER
from centerx.tasks.task import ArrayFunctions, Output, Task

TASKS = {task.name: task for task in (BOXES, CENTER)}

__all__ = ["BOXES", "CENTER", "TASKS", "ArrayFunctions", "Output", "Task"]
