"""Type commands of the pages at toy size: `python toy_shell.py FOLDER < commands.json`, outputs as JSON.

A page is a list of commands and begins in FOLDER. Each `centerx` runs in a process forked from this one, which has
imported what takes long.
"""

from __future__ import annotations

import json
import os
import runpy
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import lightning  # noqa: F401
import onnxscript  # noqa: F401
import timm  # noqa: F401
import torch
import torchvision  # noqa: F401

from centerx.cli.main import main

NETWORK = ["model.backbone=resnet10t", "model.neck.channels=16", "model.head_channels=16"]
SMALL = ["train.epochs=1", "train.batch_size=4", "data.workers=0", *NETWORK]
TOY = {"train": SMALL, "merge": SMALL, "add": SMALL, "bench": ["--runs", "1", "--batch", "1"]}
FEW = ["--count", "8"]


def type_command(text: str) -> str:
    """Run one command in the current folder and return what it prints; `cd` changes the folder."""
    code = text.split("\n", 1)[1].removesuffix("END") if text.startswith("python - <<") else None
    if code is not None:
        return forked(lambda: exec(compile(code, "page", "exec"), {"__name__": "__main__"}))
    outputs = []
    for part in text.replace("\\\n", " ").split(" && "):
        words = shlex.split(part, comments=True)
        if words[0] == "cd":
            os.chdir(words[1])
        elif words[0] == "centerx":
            outputs.append(forked(lambda words=words: call(words + TOY.get(words[1], []), main)))
        else:
            assert words[0] == "python", text
            outputs.append(forked(lambda words=words: run_script(words[1:])))
    return "".join(outputs)


def run_script(words: list[str]) -> None:
    """Run a program of docs/; few pictures are painted."""
    few = FEW if words[0].endswith("practice.py") else []
    call(words + few, lambda: runpy.run_path(words[0], run_name="__main__"))


def call(words: list[str], run: Callable[[], object]) -> None:
    """Run something with its arguments."""
    sys.argv = words
    run()


def forked(run: Callable[[], object]) -> str:
    """Run something in a process of its own and return what it prints; fail as it fails."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            status = 0
            try:
                run()
            except SystemExit as error:
                status = error.code if isinstance(error.code, int) else int(error.code is not None)
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        text = output.read().decode("utf-8")
    assert status == 0, f"{sys.argv} ended with {status}:\n{text}"
    return text


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.onnx.export(
        torch.nn.ReLU().eval(), (torch.zeros(1),), verbose=False, dynamo=True
    )  # imports what exports take
    folder = Path(sys.argv[1])
    typed = []
    for page in json.load(sys.stdin):
        os.chdir(folder)
        typed.append([type_command(text) for text in page])
    print(json.dumps(typed))
