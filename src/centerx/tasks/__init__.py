"""Tasks: what a detector finds. Each names the fields that an object carries and says how they become detections."""

from centerx.tasks.boxes import BOXES
from centerx.tasks.center import CENTER
from centerx.tasks.quads import CANONICAL, LABELLED, QUADS, QUADS_AS_LABELLED
from centerx.tasks.rotated import ROTATED
from centerx.tasks.task import ArrayFunctions, Output, Task

TASKS = {task.name: task for task in (BOXES, CENTER, QUADS, ROTATED)}


def make_task(name: str, corner_order: str = CANONICAL) -> Task:
    """Return a task, a key of `TASKS`.

    Args:
        name: of the task.
        corner_order: of quadrilaterals, `canonical` or `labelled`.
    """
    return QUADS_AS_LABELLED if name == QUADS.name and corner_order == LABELLED else TASKS[name]


__all__ = [
    "BOXES",
    "CANONICAL",
    "CENTER",
    "LABELLED",
    "QUADS",
    "ROTATED",
    "TASKS",
    "ArrayFunctions",
    "Output",
    "Task",
    "make_task",
]
