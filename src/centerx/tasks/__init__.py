"""Tasks: what a detector finds. Each names the fields that an object carries and says how they become detections."""

from typing import Protocol

from centerx.fields import CORNERS, SIZE
from centerx.joints import NO_JOINTS, Joints
from centerx.tasks.boxes import BOXES
from centerx.tasks.center import CENTER
from centerx.tasks.pose import KEYPOINT_SCORES, POSE, make_pose
from centerx.tasks.quads import CANONICAL, LABELLED, QUADS, QUADS_AS_LABELLED
from centerx.tasks.rotated import ROTATED
from centerx.tasks.task import ArrayFunctions, Output, Task


class HasTask(Protocol):
    """Detections, and whatever else names its task and has its joints."""

    @property
    def task(self) -> str:
        """A key of `TASKS`."""

    @property
    def joints(self) -> Joints:
        """Of task pose."""


TASKS = {task.name: task for task in (BOXES, CENTER, POSE, QUADS, ROTATED)}


def make_task(name: str, corner_order: str = CANONICAL, joints: Joints = NO_JOINTS) -> Task:
    """Return a task, a key of `TASKS`.

    Args:
        name: of the task.
        corner_order: of quadrilaterals, `canonical` or `labelled`.
        joints: of poses.
    """
    if name == POSE.name:
        return make_pose(joints)
    return QUADS_AS_LABELLED if name == QUADS.name and corner_order == LABELLED else TASKS[name]


def task_of(found: HasTask) -> Task:
    """Return the task of detections."""
    return make_task(found.task, joints=found.joints)


def taught_as(own: Task, student: Task) -> Task:
    """Return the task by whose fields detections teach a student.

    Those with corners tell the box, the corners, the angle and the sides, so a student of these has its own task.
    """
    told = bool(student.needed) and {*student.needed} <= {SIZE.name, CORNERS.name}
    return student if CORNERS.name in own.needed and told else own


__all__ = [
    "BOXES",
    "CANONICAL",
    "CENTER",
    "KEYPOINT_SCORES",
    "LABELLED",
    "POSE",
    "QUADS",
    "ROTATED",
    "TASKS",
    "ArrayFunctions",
    "Output",
    "Task",
    "make_task",
    "task_of",
    "taught_as",
]
