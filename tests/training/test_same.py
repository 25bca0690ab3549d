"""The same seed gives the same run, to the last bit of every file that is not of the time."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from centerx.build import build_run
from centerx.config import load_config, preset_names
from centerx.types import Batch
from tests.equality.cases import SMALL
from tests.training.small_runs import losses, train

KINDS = ("flip", "flip_vertical", "scale", "shift", "crop", "crop_size", "colour")


def augmentations() -> dict[str, list[str]]:
    """The distinct augmentations of the presets, by the first that has each, for scenes of 96 pixels."""
    found: dict[str, list[str]] = {}
    for name in preset_names():
        tree = load_config(name, ["classes=null"]).augment.model_dump(mode="json")
        words = [f"augment.{key}={json.dumps(tree[key])}" for key in KINDS]
        if tree["short_sides"]:
            words += [f"augment.short_sides={[64, 96, 128][: len(tree['short_sides'])]}"]
        if words not in found.values():
            found[name] = words
    return found


QUICK = "bccd_nano", "crowdhuman/r18_imgaug"  # presets of which `make test` has the augmentations


def tensors(batches: Iterator[Batch]) -> Iterator[torch.Tensor]:
    for batch in batches:
        yield from (batch.images, batch.objects.boxes, batch.objects.labels, batch.supervised)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param(name, words, id=name, marks=[] if name in QUICK else pytest.mark.soak)
        for name, words in augmentations().items()
    ],
)
def test_batches_are_the_same_for_any_number_of_workers(
    name: str, words: list[str], small_overrides: list[str], tmp_path: Path
) -> None:
    seen = []
    for workers in (0, 2, 4):
        config = load_config("nano", [*small_overrides, *SMALL, "data.val=[]", *words, f"data.workers={workers}"])
        run = build_run(config, tmp_path)
        run.batches.batch_sampler.set_epoch(3)  # type: ignore[union-attr]
        seen.append(list(tensors(run.batches)))
    for others in seen[1:]:
        assert len(others) == len(seen[0]) > 0
        assert all(torch.equal(one, other) for one, other in zip(seen[0], others, strict=True))


@pytest.mark.parametrize(
    "teacher", [pytest.param(name, marks=pytest.mark.soak) for name in ("model_file", "onnx_file")]
)
def test_a_taught_run_is_the_same_for_any_number_of_workers(
    teacher: str, small_overrides: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    taught = [f"distill.teachers={request.getfixturevalue(teacher)}", 'classes=["0","1",red,green,blue]']
    words = [*small_overrides, *SMALL, *taught, "data.val=[]", "train.epochs=2"]
    words += ["augment.mosaic=0.5", "augment.rotate=10"]
    for workers in (0, 2, 4):
        train([*words, f"data.workers={workers}"], tmp_path / str(workers))
    first, *others = (tmp_path / str(workers) for workers in (0, 2, 4))
    for other in others:
        assert losses(other) == losses(first)
        assert weights(other) == weights(first)
    again = tmp_path / "again"
    train([*words, "data.workers=0"], again)
    for file in ("last.safetensors", "best.safetensors", "config.yaml"):
        assert (again / file).read_bytes() == (first / file).read_bytes()


def weights(folder: Path) -> dict[str, bytes]:
    """The bytes of every tensor of a model; its metadata tells the number of workers."""
    return {name: value.numpy().tobytes() for name, value in load_file(folder / "last.safetensors").items()}
