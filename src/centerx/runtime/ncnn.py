"""ncnn."""

from __future__ import annotations

import json
from pathlib import Path

import ncnn
import numpy as np

from centerx.errors import InputError
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import map_outputs, read_outputs
from centerx.types import RawDetections

PARAM, WEIGHTS, FACTS = ".param", ".bin", ".json"  # a model is three files, alike but for these


class NcnnSession:
    """An ncnn model on the CPU, one picture after another.

    Args:
        path: the `.ncnn.param` file; `.ncnn.bin` and `.ncnn.json` lie beside it.
        compute: threads.

    Raises:
        InputError: a file is missing, corrupt or not one of this project, or another device than the processor is asked
            for.
    """

    any_size = False
    takes_picture_hw = True

    def __init__(self, path: Path, compute: Compute = PLAIN) -> None:
        compute.choose_one("ncnn")
        weights, facts = path.with_suffix(WEIGHTS), path.with_suffix(FACTS)
        for file in (weights, facts):
            if not file.is_file():
                raise InputError(f"{file}: missing, it belongs to {path.name}; export it again")
        try:
            self.info = ModelInfo.from_metadata(json.loads(facts.read_text(encoding="utf-8")), facts)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{facts}: not JSON ({error}), export it again") from None
        self.outputs = map_outputs(self.info.made_task)
        self.net = ncnn.Net()
        self.net.opt.use_bf16_storage = self.net.opt.use_bf16_packed = False
        if compute.threads is not None:
            self.net.opt.num_threads = compute.threads
        if self.net.load_param(str(path)) or self.net.load_model(str(weights)):
            raise InputError(f"{path}: corrupt or not an ncnn model, export it again")

    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        maps = [np.stack(each) for each in zip(*map(self._run, images), strict=True)]
        return read_outputs(dict(zip(self.outputs, maps, strict=True)), self.info, picture_hw)

    def _run(self, image: np.ndarray) -> list[np.ndarray]:
        pixels = image.astype(np.float32)  # must live as long as the extractor: ncnn does not copy it
        extractor = self.net.create_extractor()
        extractor.input("images", ncnn.Mat(pixels))
        found = []
        for name in self.outputs:
            status, blob = extractor.extract(name)
            if status:
                raise InputError(f"the ncnn model gives no {name!r}, export it again")
            found.append(np.array(blob))
        return found


def open_session(path: Path, compute: Compute = PLAIN) -> NcnnSession:
    """Load an ncnn model."""
    return NcnnSession(path, compute)
