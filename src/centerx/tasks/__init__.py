"""Tasks: what a detector finds. Each names the fields that an object carries and says how they become detections."""

from centerx.tasks.boxes import BOXES
from centerx.tasks.task import ArrayFunctions, Task

TASKS = {task.name: task for task in (BOXES,)}

__all__ = ["BOXES", "TASKS", "ArrayFunctions", "Task"]
