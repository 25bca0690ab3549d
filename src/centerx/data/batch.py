"""Samples -> batches: what a DataLoader needs, deterministic in (seed, epoch, index)."""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.util import Finalize, get_temp_dir
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from centerx.data.augment import ColourTransform, RandomAffine, mosaic
from centerx.data.source import SampleSource
from centerx.data.stored import StoredDetections
from centerx.errors import InputError
from centerx.geometry import INPUT_MULTIPLE, PAD_VALUE, Letterbox
from centerx.images import allow_megapixels, allowed_megapixels
from centerx.objects import Objects, join_objects, make_objects
from centerx.resize import OWN_RESIZE, Resize
from centerx.types import Batch, Sample

Key = tuple[int, int]  # epoch, and index; repeats of a picture in an epoch are whole numbers of pictures further

SOCKET = "/listener-12345678"  # of multiprocessing, in its folder
SOCKET_PATH = 103  # bytes of a socket's path on macOS; Linux takes 107


class NothingReadable(Exception):
    """Not one picture of a data set can be read."""


class TrainPictures(TorchDataset[Batch]):
    """Augmented pictures, keyed by (epoch, index): the same key gives the same sample on any worker, at any time.

    Args:
        source: the samples.
        affine: geometry. colour: colour. mosaic_probability: of four pictures in one.
        seed: of the run.
    """

    def __init__(
        self,
        source: SampleSource,
        affine: RandomAffine,
        colour: ColourTransform,
        mosaic_probability: float,
        seed: int,
    ) -> None:
        self.source = source
        self.affine, self.colour = affine, colour
        self.mosaic_probability = mosaic_probability
        self.seed = seed

    def __len__(self) -> int:
        return len(self.source)

    def with_detections(self, detections: Sequence[StoredDetections]) -> TrainPictures:
        """Return the pictures with what each stored teacher found on them."""
        source = self.source.with_detections(detections)
        return TrainPictures(source, self.affine, self.colour, self.mosaic_probability, self.seed)

    def __getitem__(self, key: Key) -> Batch:
        """Return a batch of one. An unreadable picture is replaced by the next one and named in `skipped`."""
        epoch, number = key
        rng = np.random.default_rng((self.seed, epoch, number))
        index = number % len(self.source)
        skipped: list[str] = []
        names: list[str] = []
        try:
            sample = self._warped(index, rng, skipped, names)
            # Of others a class that one of the four lacks would be lost
            if rng.random() < self.mosaic_probability and len(alike := self.source.entries.alike(index)) > 1:
                others = rng.integers(len(alike), size=3)
                parts = [sample, *(self._warped(int(alike[other]), rng, skipped, names) for other in others)]
                sample = mosaic(parts, rng, self.affine.min_visible)
        except NothingReadable:
            return empty_batch((INPUT_MULTIPLE, INPUT_MULTIPLE), self.source)._replace(skipped=skipped)
        sample = sample._replace(image=self.colour(sample.image, rng))
        return to_batch(sample, None, skipped)._replace(names=tuple(names))

    def _warped(self, index: int, rng: np.random.Generator, skipped: list[str], names: list[str]) -> Sample:
        for attempt in range(len(self.source)):
            number = (index + attempt) % len(self.source)
            record = self.source.entries[number].record
            try:
                warp = self.affine.draw(self.source.hw(number), record.objects, rng)
                sample = warp(self.source.sample(number, warp.reduction))
            except InputError as error:
                skipped.append(str(error))
                continue
            names.append(str(record.image))
            return sample
        raise NothingReadable("not one picture can be read")


class EvalPictures(TorchDataset[Batch]):
    """Letterboxed pictures in order, exactly as prediction prepares them.

    Args:
        source: the samples.
        input_hw: height and width of the input.
        resize: how a picture is brought to it.
    """

    def __init__(self, source: SampleSource, input_hw: tuple[int, int], resize: Resize = OWN_RESIZE) -> None:
        self.source = source
        self.input_hw, self.resize = input_hw, resize

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch of one; an unreadable picture is an empty batch that names it."""
        try:
            sample = self.source.sample(index)
        except InputError as error:
            return empty_batch(self.input_hw, self.source)._replace(skipped=[str(error)])
        image, letterbox = self.resize(sample.image, self.input_hw)
        placed = sample._replace(image=image, image_id=index)
        return to_batch(placed.move(partial(Objects.warp, matrix=letterbox.matrix)), letterbox, [])


def some_pictures(source: SampleSource, input_hw: tuple[int, int], most: int) -> np.ndarray:
    """At most so many readable pictures, evenly over all, as prediction prepares them: (N, 3, H, W) uint8."""
    pictures = EvalPictures(source, input_hw)
    chosen = np.unique(np.linspace(0, len(pictures) - 1, most).astype(int))
    return collate([pictures[int(index)] for index in chosen]).images.contiguous().numpy()


class EpochBatches(Sampler[list[Key]]):
    """This process's share of each shuffled global batch.

    The pictures left over after the last full batch sit out the epoch; a data set smaller than a batch is one batch.

    Args:
        size: pictures in the data set.
        batch_size: of all processes together.
        seed: of the run.
        rank, world: this process, and how many there are.
        factors: (size,) how often each picture comes an epoch, on average; each comes that often, rounded down or up.
            Without it, once.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        factors: np.ndarray | None = None,
    ) -> None:
        self.factors, self.seed = factors, seed
        size = size if factors is None else epoch_size(factors)
        self.size = size
        self.batch_size = max(min(batch_size, size - size % world), world)
        self.rank, self.world = rank, world
        self.epoch = 0

    @property
    def sampler(self) -> EpochBatches:
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(self.size // self.batch_size, 1)

    def __iter__(self) -> Iterator[list[Key]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(self.size) if self.factors is None else repeated(self.factors, self.size, rng)
        order = np.resize(order, max(self.size, self.batch_size))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            mine = order[start : start + self.batch_size][self.rank :: self.world]
            yield [(self.epoch, int(index)) for index in mine]


def epoch_size(factors: np.ndarray) -> int:
    """Return how many pictures an epoch has in which each comes so often."""
    return int(np.ceil(factors.sum() - 1e-6))


def repeated(factors: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """Return shuffled numbers of pictures, each as often as its factor, rounded down or up (systematic sampling).

    Args:
        factors: (N,) of the pictures, at least 1.
        total: how many numbers: `epoch_size` of the factors.
        rng: decides what is rounded up, and the order.

    Returns:
        (total,) int64; the k-th repeat of picture i is i + k N.
    """
    shuffled = rng.permutation(len(factors))
    ends = np.floor(np.cumsum(factors[shuffled]) * (total / factors.sum()) + rng.random()).astype(np.int64)
    ends[-1] = total
    counts = np.diff(ends, prepend=0)
    repeats = np.arange(total) - np.repeat(ends - counts, counts)
    return rng.permutation(np.repeat(shuffled, counts) + repeats * len(factors))


def to_batch(sample: Sample, letterbox: Letterbox | None, skipped: list[str]) -> Batch:
    """A sample -> a batch of one."""
    return Batch(
        images=torch.from_numpy(sample.image)[None].permute(0, 3, 1, 2),
        objects=sample.objects.map(torch.from_numpy),
        supervised=torch.from_numpy(sample.supervised)[None],
        letterboxes=[letterbox],
        image_ids=[sample.image_id],
        skipped=skipped,
        detections=tuple(objects.map(torch.from_numpy) for objects in sample.detections),
        answered=tuple(torch.tensor([answered]) for answered in sample.answered),
    )


def empty_batch(input_hw: tuple[int, int], source: SampleSource) -> Batch:
    """A batch of no pictures, with the fields of the source's task."""
    images = torch.zeros((0, 3, *input_hw), dtype=torch.uint8)
    nothing = make_objects(np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64))
    objects = nothing.with_fields(source.task.fields).map(torch.from_numpy)
    shape = 0, len(source.class_names), len(source.task.attributes)
    detections = tuple(found.of(0, source.task).where(slice(0)).map(torch.from_numpy) for found in source.detections)
    answered = tuple(torch.zeros(0, dtype=torch.bool) for _ in detections)
    return Batch(images, objects, torch.zeros(shape, dtype=torch.bool), [], [], [], detections, answered)


def collate(batches: Sequence[Batch]) -> Batch:
    """Join batches. Images stay channels-last in memory, as they were decoded.

    Those of different sizes are padded with PAD_VALUE at right and bottom to the largest height and width. That is
    background, as it is around any picture that does not fill the input: the network learns to find nothing there.
    """
    height, width = (max(batch.images.shape[axis] for batch in batches) for axis in (2, 3))
    starts = np.cumsum([0, *(len(batch.images) for batch in batches)])[:-1].tolist()

    def join(parts: Sequence[Objects]) -> Objects:
        numbered = [part._replace(image=part.image + start) for part, start in zip(parts, starts, strict=True)]
        return join_objects(numbered, torch.cat)

    return Batch(
        images=torch.cat([pixels_last(batch.images, height, width) for batch in batches]).permute(0, 3, 1, 2),
        objects=join([batch.objects for batch in batches]),
        supervised=torch.cat([batch.supervised for batch in batches]),
        letterboxes=[letterbox for batch in batches for letterbox in batch.letterboxes],
        image_ids=[image_id for batch in batches for image_id in batch.image_ids],
        skipped=[message for batch in batches for message in batch.skipped],
        detections=tuple(map(join, zip(*(batch.detections for batch in batches), strict=True))),
        answered=tuple(map(torch.cat, zip(*(batch.answered for batch in batches), strict=True))),
        names=tuple(name for batch in batches for name in batch.names),
    )


def split_batch(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into so many parts, of as many pictures each or one more; of fewer pictures into parts of one."""
    ends = np.cumsum([len(some) for some in np.array_split(batch.image_ids, min(count, len(batch.images)))]).tolist()

    def cut(objects: Objects, part: slice) -> Objects:
        own = objects.where((objects.image >= part.start) & (objects.image < part.stop))
        return own._replace(image=own.image - part.start)

    return [
        Batch(
            images=batch.images[part],
            objects=cut(batch.objects, part),
            supervised=batch.supervised[part],
            letterboxes=batch.letterboxes[part],
            image_ids=batch.image_ids[part],
            skipped=[],
            detections=tuple(cut(each, part) for each in batch.detections),
            answered=tuple(each[part] for each in batch.answered),
            names=batch.names[part],
        )
        for part in map(slice, [0, *ends[:-1]], ends)
    ]


def init_worker(_: int, megapixels: float | None = None) -> None:
    """What a worker process begins with: OpenCV keeps to one thread, as torch does there, since workers are many.

    Signals that end a whole group of processes are left to the first, which ends its workers. They end without it too,
    and then remove the folder that they share.

    Args:
        megapixels: the most of a picture; what is usual without it.
    """
    Finalize(None, remove_orphaned, (get_temp_dir(), os.getppid()), exitpriority=-200)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    cv2.setNumThreads(0)  # not 1, which would wait for threads of the parent that a fork leaves behind
    if megapixels is not None:
        allow_megapixels(megapixels)


def remove_orphaned(folder: str, parent: int) -> None:
    """Remove the temporary folder of a parent process that was killed."""
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)


def load_batches(pictures: TrainPictures | EvalPictures, workers: int, **options: Any) -> DataLoader[Batch]:
    """Pictures -> batches, made in so many worker processes. The options are those of torch's `DataLoader`.

    Raises:
        InputError: the path of the folder for temporary files is too long for the sockets of workers, which would hang.
    """
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than processors: as asked
    if workers:
        folder = get_temp_dir()  # made here, so that this process removes it with the sockets of killed workers
        if len(os.fsencode(folder)) + len(SOCKET) > SOCKET_PATH:
            raise InputError(
                f"{folder}: too long a path for the sockets of data workers, set TMPDIR to a shorter one or "
                "data.workers=0"
            )
    start = partial(init_worker, megapixels=allowed_megapixels())
    return DataLoader(pictures, collate_fn=collate, num_workers=workers, worker_init_fn=start, **options)


def pixels_last(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B, 3, H, W) -> (B, height, width, 3), padded where that is larger."""
    below, right = height - images.shape[2], width - images.shape[3]
    images = images.permute(0, 2, 3, 1)
    return F.pad(images, (0, 0, 0, right, 0, below), value=PAD_VALUE) if below or right else images
