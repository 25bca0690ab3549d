"""Poses: a box with joints, such as those of a body.

Each joint is found twice: relative to the centre of its object, and as a peak of a heatmap of its own with an offset,
as in the multi-person pose estimation of Zhou et al., Objects as Points, 2019, section 4.2. The first says to whom a
peak belongs, the second where the joint is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from centerx.draw import draw_poses
from centerx.fields import JOINT_HEATMAP, JOINT_OFFSET, KEYPOINTS, SIZE, Array, Scalar
from centerx.joints import Joints
from centerx.tasks.boxes import BOXES
from centerx.tasks.boxes import assemble as assemble_boxes
from centerx.tasks.task import ArrayFunctions, Arrays, Output, Task

if TYPE_CHECKING:
    from centerx.types import Detections

LEAST_PEAK = 0.1  # probability of a joint's peak that counts
REACH = 0.3  # of the longer side of the box: how far from the place told by the centre a joint's peak may be
FAR = 1e12  # square pixels, beyond all distances
MOST_PEAKS = 100  # of each joint on a picture
WHOLE = "whole"  # boxes before they are clipped to the picture
KEYPOINT_SCORES = "keypoint_scores"


def assemble(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return `boxes`, xyxy around the centre, the same for `refine`, and `keypoints` as the centre tells them."""
    boxes = assemble_boxes(center, values, functions)
    return boxes | {WHOLE: boxes["boxes"], "keypoints": values[KEYPOINTS.name]}


def refine(
    found: dict[str, Array],
    labels: Array,
    maps: Arrays,
    stride: int,
    functions: ArrayFunctions,
    table: list[list[float]] | None = None,
) -> dict[str, Array]:
    """Move each joint to the nearest peak of its heatmap, and give it a score.

    A peak counts from `LEAST_PEAK` on, inside the box, up to `REACH` away; without one a joint stays where its centre
    tells it. The score is the probability of the peak, else of the cell where the joint is.

    Args:
        found: `boxes` (B, K, 4), clipped, the same as they are as `whole`, and `keypoints` (B, K, 2 J), in pixels.
        labels: (B, K).
        maps: of the branches, probabilities as heatmap.
        stride: pixels per cell.
        functions: of the arrays' library.
        table: (C, J), 1 where a class has a joint, else 0; the score of others is 0. None: all have all.

    Returns:
        `boxes`, `keypoints`, and `keypoint_scores` (B, K, J).
    """
    heatmap, offset = maps[JOINT_HEATMAP.name], maps[JOINT_OFFSET.name]
    joints, height, width = heatmap.shape[1:]
    cells, detections = height * width, labels.shape[1]
    count = min(MOST_PEAKS, cells)
    flat = heatmap.reshape(-1, joints, cells)
    scores, at = functions.top((heatmap * functions.highest(heatmap)).reshape(-1, joints, cells), count)
    row = at // width
    within = [
        functions.take(offset[:, axis : axis + 1].reshape(-1, 1, cells), at.reshape(-1, 1, joints * count))
        for axis in (0, 1)
    ]
    peaks = [
        functions.spread((cell + each.reshape(-1, joints, count)) * stride, detections)
        for cell, each in zip((at - row * width, row), within, strict=True)
    ]
    scores = functions.spread(scores, detections)

    points = found["keypoints"].reshape(-1, detections, joints, 2)
    x, y = points[..., :1], points[..., 1:]
    distance = (peaks[0] - x) * (peaks[0] - x) + (peaks[1] - y) * (peaks[1] - y)
    best = functions.nearest(functions.where(scores >= LEAST_PEAK, distance, distance * 0 + FAR))
    near_x, near_y, score, distance = (functions.take(each, best) for each in (*peaks, scores, distance))
    left, top, right, bottom = (found[WHOLE][..., None, side : side + 1] for side in range(4))
    across, down = right - left, bottom - top
    reach = REACH * functions.where(across > down, across, down)
    inside = (near_x >= left) & (near_x <= right) & (near_y >= top) & (near_y <= bottom)
    snaps = inside & (distance <= reach * reach) & (score >= LEAST_PEAK)
    column = functions.whole((x / stride).clip(0, width - 1))
    line = functions.whole((y / stride).clip(0, height - 1))
    here = (line * width + column).reshape(-1, detections, joints).swapaxes(1, 2)
    own = functions.take(flat, here).swapaxes(1, 2)
    sure = functions.where(snaps[..., 0], score[..., 0], own)
    if table is not None:
        sure = sure * functions.rows(table, labels)
    pairs = [functions.where(snaps, near, told) for near, told in ((near_x, x), (near_y, y))]
    moved = functions.pair(*pairs).reshape(-1, detections, 2 * joints)
    return {"boxes": found["boxes"], "keypoints": moved, KEYPOINT_SCORES: sure}


def to_dict(detections: Detections) -> list[dict[str, Any]]:
    """Return `box` of each detection, xyxy, and its `keypoints`: x and y in pixels and a score, of each joint."""
    points, scores = detections.values["keypoints"].tolist(), detections.values[KEYPOINT_SCORES].tolist()
    return [
        {"box": box, "keypoints": [[*xy, score] for xy, score in zip(own, sure, strict=True)]}
        for box, own, sure in zip(detections.boxes.tolist(), points, scores, strict=True)
    ]


def make_pose(joints: Joints) -> Task:
    """Return the task for objects with some joints."""
    table = joints.table(len(joints.classes)) if joints.classes else None
    return BOXES._replace(
        name="pose",
        fields=(SIZE, KEYPOINTS._replace(num_values=len(joints.names), flip=joints.flip)),
        outputs=(
            Output("boxes"),
            Output("keypoints", clipped=False, shape=(len(joints.names), 2)),
            Output(KEYPOINT_SCORES, Scalar, clipped=False),
        ),
        assemble=assemble,
        to_dict=to_dict,
        draw=partial(draw_poses, joints=joints),
        metrics="centerx.evaluation.poses:pose_metrics",
        curves="centerx.evaluation.poses:curves",
        overlap="centerx.evaluation.poses:pose_overlap",
        cover="centerx.evaluation.coco:box_cover",
        joints=joints,
        refine=partial(refine, table=table),
    )


POSE = make_pose(Joints())
