import errno
import os
from pathlib import Path

import pytest

from centerx.files import write_whole


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_whole(tmp_path / "a.bin", content)
        assert (tmp_path / "a.bin").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_full_disk_leaves_the_former_file_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as write(2): without a name

    path = tmp_path / "a.bin"
    path.write_bytes(b"former")
    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, b"much longer")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"former"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
