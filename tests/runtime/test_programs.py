"""Model files that are programs run nothing until they are trusted, wherever a model is named."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

import centerx
from centerx.errors import InputError
from centerx.runtime import BACKENDS, load, open_all, open_session, trust_programs
from tests.data.handmade import write_coco, write_picture

SUFFIXES = (".pt2", ".aoti.pt2", ".torchscript")


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.fixture(params=SUFFIXES)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file as a stranger may send it: its pickles make the file `ran`."""
    path = tmp_path / f"model{request.param}"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in ("data.pkl", "model/data/sample_inputs/model.pt", "serialized_example_inputs.pt"):
            archive.writestr(f"model/{name}", pickle.dumps(Touches(tmp_path / "ran")))
    path.write_bytes(content.getvalue())
    return path


def test_a_program_is_refused_before_anything_of_it_is_run(program: Path, tmp_path: Path) -> None:
    for open_it in (open_session, load, lambda path: open_session(path, "auto"), centerx.inspect):
        with pytest.raises(InputError, match=r"refused, and nothing of it was run.* add --trust"):
            open_it(program)
    assert open_all(program)[0] == {}
    write_picture(tmp_path / "a.png")
    data = write_coco(tmp_path / "a.json")
    config = {"data": {"train": [str(data)], "input_size": 96}, "distill": {"teachers": [{"weights": str(program)}]}}
    for use in (
        lambda: centerx.evaluate(program, data),
        lambda: list(centerx.predict(program, tmp_path / "a.png")),
        lambda: centerx.label(program, tmp_path, out=tmp_path / "b.json"),
        lambda: centerx.train({"base": "nano", **config}, out=tmp_path / "run"),
    ):
        with pytest.raises(InputError, match="nothing of it was run"):
            use()
    assert not (tmp_path / "ran").exists()


def test_trust_is_given_for_a_file_or_a_while(program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with trust_programs(False), pytest.raises(InputError, match="nothing of it was run"):
        open_session(program)
    with trust_programs(), pytest.raises(InputError, match="corrupt or not a program"):
        open_session(program)
    with pytest.raises(InputError, match="corrupt or not a program"):
        open_session(program, trust=True)
    assert capfd.readouterr() == ("", "")  # torch's own words are left out
    with pytest.raises(InputError, match="nothing of it was run"):
        open_session(program)


def test_every_backend_of_torch_but_the_weights_is_a_program() -> None:
    assert {name for name, entry in BACKENDS.items() if entry.program} == {"torch-export", "aotinductor", "torchscript"}
