"""A configuration -> its teachers: their files are opened; what is slow waits until they are asked."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch

from centerx import runtime
from centerx.build_model import TorchSession, load_detector, require_sizes
from centerx.build_teaching import teacher_terms, term_figures
from centerx.config import Config
from centerx.config.schema import TeacherConfig
from centerx.data.dataset import Dataset
from centerx.data.function import Function
from centerx.data.records import Record
from centerx.data.store import SUFFIX, TeacherInfo, ask_once, read_info, read_store
from centerx.data.stored import StoredDetections, store_detections
from centerx.errors import InputError, nearest
from centerx.evaluation.listed import read_detections
from centerx.fields import CORNERS, KEYPOINTS
from centerx.geometry import clip_boxes
from centerx.images import read_image
from centerx.levels import ValueRange, range_text
from centerx.losses.terms import FEATURES
from centerx.models import CenterNet
from centerx.progress import track
from centerx.resize import OWN_RESIZE
from centerx.runtime import Predictor
from centerx.runtime.digest import model_digest
from centerx.runtime.foreign.joints import JointAdapter, JointFinder, joint_adapter
from centerx.runtime.foreign.session import AdapterSource, ForeignSession
from centerx.runtime.onnx import OnnxRunner, load_graph
from centerx.tasks import CANONICAL, KEYPOINT_SCORES, LABELLED, POSE, QUADS, HasTask, Task, make_task, taught_as
from centerx.training.ask import BY_AP, FUSE, OpenTeacher, calibrate, fuse_shared, images_of
from centerx.training.teachers import DetectionTeacher, NetworkTeacher, StoredTeacher, Teacher, TeacherModel
from centerx.types import Detections

logger = logging.getLogger(__name__)

STORED = (".json", SUFFIX)  # suffixes of files of what a teacher found
LEFT_OUT = {CORNERS.name: "corners", KEYPOINTS.name: "joints"}  # of teachers, beside boxes


def open_teachers(
    config: Config,
    datasets: Sequence[Dataset] = (),
    folder: Path = Path(),
    functions: Mapping[str, Function] | None = None,
    judged_by: Sequence[Dataset] = (),
) -> list[Teacher]:
    """Load the teachers of a configuration, all but what those found that are asked once a picture.

    Args:
        config: of the run.
        datasets: of the training pictures.
        folder: of the run.
        functions: those that are teachers, by the file that keeps what they find.
        judged_by: labelled pictures, by which scores are calibrated and teachers of one class are weighed.

    Raises:
        InputError: a file is missing, of another kind, or takes pictures of another size; two have one name; every
            weight of one is 0; there are no pictures to judge by.
    """
    distill, task = config.distill, config.made_task
    images = images_of(datasets)
    for key, wanted in (("calibrate=true", distill.calibrate), (f"shared={BY_AP}", distill.shared == BY_AP)):
        if wanted and not judged_by:
            raise InputError(f"distill.{key}: needs labelled pictures to judge by, name some as data.val (--val)")
    found: list[OpenTeacher] = []
    for entry, name in zip(distill.teachers, teacher_names(distill.teachers), strict=True):
        path = Path(entry.weights)
        own = path.suffix.lower() == ".safetensors" or path.suffix.lower() in STORED
        if entry.adapter is not None and own:
            raise InputError(f"{path}: a file of this project says itself how it is read, leave its adapter out")
        if path.suffix.lower() == ".safetensors":
            opened = open_network(path, config)
        elif (told := joint_adapter(path, entry.adapter)) is not None:
            opened = open_joints(path, told, datasets, config)
        elif functions and entry.weights in functions:
            opened = open_function(path, functions[entry.weights], images, config)
        elif path.suffix.lower() in STORED:
            opened = open_stored(path, datasets, images)
        elif distill.cache is False:
            opened = open_detector(path, config, entry.adapter)
        else:
            opened = open_asked(path, store_file(distill.cache, folder, name), images, entry.adapter)
        factors = entry.weight.model_dump()
        figures = term_figures(distill, task, config.loss.balance == "constant", factors)
        if not any(figures[field] for field in figures if field in teacher_terms(opened.task)):
            raise InputError(f"distill: every term of teacher {name} has weight 0, raise one or leave the teacher out")
        classes = entry.classes or wanted_classes(name, opened.class_names, config.classes)
        require_order(name, opened.task, config)
        tell_left_out(name, opened.task, task)
        opened = opened._replace(name=name, classes=classes, factors=factors, task=taught_as(opened.task, task))
        found.append(calibrate(opened, judged_by) if distill.calibrate else opened)
    return as_teachers(fuse_shared(found) if distill.shared == FUSE else found, config)


def as_teachers(opened: Sequence[OpenTeacher], config: Config) -> list[Teacher]:
    """Return teachers: each that is asked once a picture has the next place in a batch."""
    places = itertools.count()
    constant, task = config.loss.balance == "constant", config.made_task
    teachers = []
    for each in opened:
        count = len(each.class_names)
        model = each.model or StoredTeacher(next(places), each.task, count, CenterNet.stride, config.loss.point_radius)
        matched = FEATURES in term_figures(config.distill, task, constant, each.factors)
        teachers.append(
            Teacher(
                name=each.name,
                model=model,
                class_names=each.class_names,
                task=each.task,
                classes=each.classes,
                match_features=matched,
                factors=each.factors,
                find=each.find,
                load=each.load,
                curves=each.curves,
                teaches=each.teaches,
            )
        )
    return teachers


def wanted_classes(name: str, own: Sequence[str], student: Sequence[str] | None) -> dict[str, str]:
    """Return the classes that a teacher teaches where nothing says which: those of the student, else all.

    Raises:
        InputError: the student has none of them.
    """
    wanted = [each for each in own if student is None or each in student]
    if not wanted:
        assert student is not None
        raise InputError(
            f"distill.teachers: {name} knows none of {', '.join(student)}{nearest(student[0], own)}; list its classes "
            f"with the student's name of each, or leave it out; it knows {', '.join(own)}"
        )
    if len(wanted) < len(own):
        logger.info(f"distill.teachers: {name} teaches {', '.join(wanted)}, of its {len(own)} classes")
    return {each: each for each in wanted}


def tell_left_out(name: str, own: Task, student: Task) -> None:
    """Tell what a teacher knows of objects that the student does not learn."""
    for field, what in LEFT_OUT.items():
        if field in own.needed and field not in student.needed:
            logger.info(
                f"distill.teachers: {name} knows the {what} of objects, which task {student.name} does not learn; set "
                f"task={own.name} for a student that does"
            )


def require_order(name: str, own: Task, config: Config) -> None:
    """Check that a teacher of corners begins with the corner with which the student is to begin.

    Args:
        name: of the teacher.
        own: its task.
        config: of the run.

    Raises:
        InputError: the student has the order of the labels, the teacher one of its own.
    """
    student = config.made_task
    if CORNERS in student.fields and taught_as(own, student) is student and CORNERS not in own.fields:
        said = f"in the order {CANONICAL}" if own.name == QUADS.name else "of rotated boxes, none of which is the first"
        raise InputError(
            f"distill.teachers: {name} gives corners {said}, and cannot teach model.corner_order={LABELLED}; set "
            f"model.corner_order={CANONICAL} or leave the teacher out"
        )


def open_stored(path: Path, datasets: Sequence[Dataset], images: Sequence[Path]) -> OpenTeacher:
    """Open a file, one of `STORED`, of what somebody found on pictures.

    Args:
        path: the file.
        datasets: by whose ids a json of results is read.
        images: the pictures.

    Raises:
        InputError: the file cannot be used.
    """
    find = partial(find_stored, path, datasets)
    if path.suffix.lower() == SUFFIX:
        info = read_info(path)
        return OpenTeacher(info.class_names, task_as_given(info), find, load=partial(read_store, path, images))
    found = read_detections(path, datasets, images)
    return OpenTeacher(found.class_names, task_as_given(found), find, load=lambda: found)


def task_as_given(found: HasTask) -> Task:
    """Return the task of detections whose corners begin as whoever gives them says."""
    return make_task(found.task, LABELLED, found.joints)


def find_stored(path: Path, datasets: Sequence[Dataset], images: Sequence[Path]) -> StoredDetections:
    """Return what a file, one of `STORED`, says of pictures that need not be those that it teaches on.

    Args:
        path: the file.
        datasets: as for `open_stored`.
        images: the pictures.
    """
    if path.suffix.lower() == SUFFIX:
        return read_store(path, images, quiet=True)
    return read_detections(path, datasets, images, quiet=True)


def open_network(path: Path, config: Config) -> OpenTeacher:
    """Open a network of this project, which is asked about each augmented picture."""
    detector, info = load_detector(path)
    try:
        require_sizes(detector, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    tell_range(path, info.value_range, config)
    if config.train.channels_last:
        detector.to(memory_format=torch.channels_last)
    own, student = info.made_task, config.made_task
    model: TeacherModel = NetworkTeacher(detector)
    task = taught_as(own, student)
    if task.attributes != own.attributes:  # its maps are of other fields, what they find has those of the student
        model = DetectionTeacher(TorchSession(path), path, task, len(info.class_names), CenterNet.stride)
    return OpenTeacher(info.class_names, own, partial(find_anew, path, None), model)


def open_detector(path: Path, config: Config, adapter: AdapterSource) -> OpenTeacher:
    """Open a file that gives detections, which is asked about each augmented picture."""
    session = runtime.open_session(path, adapter=adapter)
    info, task = session.info, session.info.made_task
    own_rule = info.resize == OWN_RESIZE
    if own_rule and not session.any_size:
        check_size(path, info.input_hw, config)
    tell_range(path, info.value_range, config)
    count = len(info.class_names)
    detect = session if own_rule else Predictor(session).detect_array
    model = DetectionTeacher(detect, path, taught_as(task, config.made_task), count, CenterNet.stride)
    return OpenTeacher(info.class_names, task, partial(find_anew, path, adapter), model)


def open_asked(path: Path, store: Path, images: Sequence[Path], adapter: AdapterSource) -> OpenTeacher:
    """Open a file that gives detections, which is asked once a picture; the model is dropped until then."""
    info = runtime.open_session(path, adapter=adapter).info

    def find(images: Sequence[Path]) -> StoredDetections:
        predictor = runtime.load(path, adapter=adapter)
        session = predictor.session
        read_by = session.adapter.to_yaml() if isinstance(session, ForeignSession) else ""
        digest = model_digest(path, read_by)
        return ask_once(
            store, TeacherInfo(digest, info.class_names, info.task, info.joints), predictor, images, info.value_range
        )

    return OpenTeacher(info.class_names, info.made_task, find, load=partial(find, images))


def open_joints(path: Path, adapter: JointAdapter, datasets: Sequence[Dataset], config: Config) -> OpenTeacher:
    """Open a file that says where the joints of labelled boxes are; it is asked once at the start of a run.

    Args:
        path: the file.
        adapter: how it sees, and what it says.
        datasets: to train on, whose boxes it completes.
        config: of the run.

    Raises:
        InputError: the run is of another task, the file is no ONNX file or not as its adapter says.
    """
    if config.task != POSE.name:
        raise InputError(f"{path}: says where joints are, which task {config.task} has none of; set task=pose")
    if path.suffix.lower() != ".onnx":
        raise InputError(f"{path}: a file of joint heatmaps must be an ONNX file, export it as one")
    finder = JointFinder(path, OnnxRunner(load_graph(path, str(path))), adapter)
    names, task = adapter.classes, make_task(POSE.name, joints=adapter.joints)

    def load() -> StoredDetections:
        records = [(dataset, record) for dataset in datasets for record in dataset.records]
        found = [
            completed(finder, dataset, record, names, config)
            for dataset, record in track(records, f"asking {path.stem}")
        ]
        return store_detections(names, task.name, found, joints=task.joints)

    def find(images: Sequence[Path]) -> StoredDetections:
        raise InputError(f"{path}: finds no objects that could be judged; leave distill.calibrate and shared=by_ap out")

    return OpenTeacher(names, task, find, load=load, teaches=(KEYPOINTS.name,))


def completed(
    finder: JointFinder, dataset: Dataset, record: Record, names: Sequence[str], config: Config
) -> Detections | None:
    """Return the labelled boxes of a picture with the joints that a file finds in them; None where it cannot be read.

    Args:
        finder: of the file.
        dataset: of the picture.
        record: the picture.
        names: classes of the objects that have these joints.
        config: of the run.
    """
    own = [dataset.class_names[label] for label in record.labels]
    kept = np.array([name in names for name in own], dtype=bool) & ~record.ignore
    labels = np.array([names.index(name) for name, keep in zip(own, kept, strict=True) if keep], dtype=np.int64)
    try:
        image = read_image(record.image, config.data.range)
    except InputError as error:
        logger.warning(f"not asked about: {error}")
        return None
    boxes = clip_boxes(record.boxes[kept], (image.shape[0], image.shape[1]))
    points, sure = finder(image, boxes)
    values = {KEYPOINTS.name: points, KEYPOINT_SCORES: sure}
    joints = finder.adapter.joints
    return Detections(boxes, np.ones(len(boxes)), labels, tuple(names), values, POSE.name, joints)


def open_function(store: Path, function: Function, images: Sequence[Path], config: Config) -> OpenTeacher:
    """Open a function of Python, which is asked once a picture."""
    teacher = function.info(store, images, config.data.range)
    detect = function.named(teacher.class_names)

    def find(images: Sequence[Path]) -> StoredDetections:
        return ask_once(store, teacher, detect, images, config.data.range)

    return OpenTeacher(teacher.class_names, task_as_given(teacher), find, load=partial(find, images))


def find_anew(path: Path, adapter: AdapterSource, images: Sequence[Path]) -> StoredDetections:
    """Return what a model file finds on pictures, without keeping it."""
    predictor = runtime.load(path, adapter=adapter)
    names, task = predictor.class_names, predictor.task
    found = [look(predictor, image) for image in track(images, f"asking {path.stem}")]
    return store_detections(names, task.name, found, joints=task.joints)


def look(predictor: Predictor, image: Path) -> Detections | None:
    """Return what is found on a picture; None where it cannot be read."""
    try:
        return predictor(image)
    except InputError as error:
        logger.warning(f"not asked about: {error}")
        return None


def store_file(cache: bool | str, folder: Path, name: str) -> Path:
    """Return the file that keeps what a teacher finds.

    Args:
        cache: `distill.cache`, a folder or True.
        folder: of the run.
        name: of the teacher.
    """
    home = Path(cache) if isinstance(cache, str) else folder / "teachers"
    return home / f"{quote(name, safe=' ')}{SUFFIX}"


def tell_range(path: Path, value_range: ValueRange, config: Config) -> None:
    """Warn where a teacher reads pictures of more than 8 bits otherwise than the run does."""
    if value_range != config.data.range:
        logger.warning(
            f"{path}: this teacher was trained with data.range={range_text(value_range)}, not "
            f"{range_text(config.data.range)}; set that where there are pictures of more than 8 bits"
        )


def teacher_names(entries: Sequence[TeacherConfig]) -> list[str]:
    """Names for logs: those given, else of the file, or of the run folder where all files are called alike.

    Of several with one name the second and on get a number.

    Raises:
        InputError: a name is given twice.
    """
    names: list[str] = []
    for entry in entries:
        path = Path(entry.weights)
        of_run = path.stem.partition("-")[0] in ("best", "last")  # best.onnx, last-maps.onnx, best-int8.onnx
        name = entry.name or (path.absolute().parent.name if of_run else path.stem)
        if entry.name is None:
            numbered = (f"{name}-{number}" for number in range(2, len(entries) + 1))
            name = next(each for each in (name, *numbered) if each not in names)
        if name in names:
            raise InputError(f"distill.teachers: two are called {name!r}, give each a name of its own")
        names.append(name)
    return names


def check_size(path: Path, input_hw: tuple[int, int], config: Config) -> None:
    """Raise where a file that takes pictures of one height and width would be given others."""
    if config.augment.short_sides:
        raise InputError(
            f"{path}: takes pictures of one size only, leave out augment.short_sides or export it again with --size any"
        )
    if input_hw != config.data.input_size:
        raise InputError(
            f"{path}: takes pictures of {input_hw[0]} x {input_hw[1]} pixels only, set "
            f"data.input_size=[{input_hw[0]},{input_hw[1]}] or export it again with --size"
        )
