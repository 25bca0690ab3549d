"""Run an exported model, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from centerx.runtime.compute import Compute
from centerx.runtime.predictor import Predictor
from centerx.runtime.session import BACKENDS, Session, backends_of, open_all, open_named, open_session, trust_programs
from centerx.runtime.tiled import TILES_AT_ONCE, TiledPredictor
from centerx.tiles import OVERLAP, Tiles

if TYPE_CHECKING:
    from centerx.runtime.foreign.session import AdapterSource


def load(
    path: str | Path,
    backend: str | None = None,
    input_hw: tuple[int, int] | None = None,
    adapter: AdapterSource = None,
    *,
    threads: int | None = None,
    providers: str | Sequence[str] | None = None,
    tiles: int | tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    whole: bool = False,
    batch: int = TILES_AT_ONCE,
    trust: bool = False,
) -> Predictor:
    """Load a model file for prediction: `load("model.onnx")("picture.jpg") -> Detections`.

    Args:
        path: an exported file, a `.safetensors` model file, which needs torch, or a detector of another project.
        backend: a name of BACKENDS, or `auto` for the fastest installed backend. Default: by the suffix.
        input_hw: height and width in pixels that pictures are resized to, if the model takes any size. Default: the
            size in the model file.
        adapter: how a detector of another project is read: keys, or the path of a YAML file. Default: the file
            `NAME.adapter.yaml` beside it, or the known families.
        threads: of the processor for one call of the network; some backends set it for the whole process. Default: what
            the backend takes by itself.
        providers: where to compute, by name, such as `cuda` or `["cuda", "cpu"]`; ONNX Runtime takes several in order
            of preference. Default: the processor.
        tiles: cut larger pictures into overlapping tiles of this side, or height and width, in pixels of the picture,
            see `join_views`. Default: each picture is looked at as a whole.
        overlap: least share of its sides that a tile has in common with the next; that of the largest objects.
        whole: look at larger pictures as a whole too, for objects that are larger than an overlap.
        batch: tiles a call of the network.
        trust: open the file even if it is a program, which runs with your rights (`.pt2`, `.torchscript`).

    Raises:
        InputError: the file is missing, corrupt, of an unknown kind or of another size, a provider is not there, or the
            tiles are impossible.
    """
    compute = Compute.of(threads, providers)
    name, session = open_named(path, backend, adapter, compute, trust)
    reopen = partial(open_session, Path(path).absolute(), name, adapter, compute, trust)
    if tiles is None:
        return Predictor(session, input_hw, reopen)
    return TiledPredictor(session, input_hw, reopen, Tiles.of(tiles, overlap, whole), batch)


__all__ = [
    "BACKENDS",
    "Compute",
    "Predictor",
    "Session",
    "TiledPredictor",
    "Tiles",
    "backends_of",
    "load",
    "open_all",
    "open_session",
    "trust_programs",
]
