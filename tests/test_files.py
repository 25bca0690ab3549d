import errno
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from centerx.errors import InputError
from centerx.files import (
    json_list,
    json_text,
    many_files,
    new_files,
    quoted,
    remove_scratch,
    require_folder,
    require_writable,
    write_json,
)
from centerx.files import write_atomic as write

ODD = os.fsdecode(b"stra\xdfe_caf\xe9.jpg")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSPC) -> Iterator[None]:
    """A disk that takes half of what is written."""

    def fill(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(number, os.strerror(number))  # as write(2): without a name

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill)
        yield


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write(tmp_path / "new" / "a.bin", content)
        assert (tmp_path / "new" / "a.bin").read_bytes() == content
    assert names(tmp_path / "new") == ["a.bin"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_a_full_disk_leaves_the_former_file_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"former")
    with full_disk(monkeypatch, number), pytest.raises(OSError, match=os.strerror(number)) as caught:
        write(path, b"much longer")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"former"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_so_does_a_disk_that_is_full_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.json"
    path.write_bytes(b"former")
    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(OSError, match="No space left") as caught:
        write_json(path, [1])
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"former"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full"), ValueError])
def test_a_list_that_is_not_finished_leaves_the_former_one(tmp_path: Path, error: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text("former")
    with pytest.raises(BaseException), json_list(path) as add:  # noqa: B017, PT011, PT012
        add(1)
        raise error
    assert path.read_text() == "former"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("entries", [[], [{"a": "é"}], [1, 2, 3]])
def test_a_list_written_entry_by_entry(tmp_path: Path, entries: list[Any]) -> None:
    with json_list(tmp_path / "a.json") as add:
        for entry in entries:
            add(entry)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == entries
    assert text.count("\n") == (len(entries) + 2 if entries else 1)


def test_other_errors_keep_their_own_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, new_files(tmp_path / "a.bin"):
        (tmp_path / "missing").read_bytes()
    assert caught.value.filename == str(tmp_path / "missing")


def test_files_that_belong_together_come_with_the_named_one_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda file, place: moved.append(file.name) or replace(file, place))
    with new_files(tmp_path / "b.xml") as made:
        made.write_text("b")
        made.with_suffix(".bin").write_text("bin")
        made.with_name("c.txt").write_text("c")
    assert moved == ["b.bin", "c.txt", "b.xml"]
    assert names(tmp_path) == ["b.bin", "b.xml", "c.txt"]


def test_a_folder_is_replaced_as_one(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with new_files(tmp_path / "web") as made:
            made.mkdir()
            (made / name).write_text(name)
        assert names(tmp_path / "web") == [name]
    with pytest.raises(ValueError, match="no"), new_files(tmp_path / "web") as made:  # noqa: PT012
        made.mkdir()
        raise ValueError("no")
    assert names(tmp_path / "web") == ["second"]
    assert names(tmp_path) == ["web"]


def test_a_folder_that_cannot_be_put_in_its_place_leaves_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "former").touch()
    replace = Path.replace

    def fail(file: Path, place: Path) -> Path:
        if (file / "new").exists():
            raise OSError(errno.EBUSY, "busy")
        return replace(file, place)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="busy"), new_files(tmp_path / "web") as made:  # noqa: PT012
        made.mkdir()
        (made / "new").touch()
    assert names(tmp_path / "web") == ["former"]


def test_modes_are_those_of_the_umask_and_of_a_former_file(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        write(tmp_path / "a", b"")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
        (tmp_path / "a").chmod(0o600)
        write(tmp_path / "a", b"")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    finally:
        os.umask(former)


def test_of_a_link_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "disk" / "b")
    for content in (b"1", b"2"):
        write(tmp_path / "a", content)
        assert (tmp_path / "disk" / "b").read_bytes() == content
    assert (tmp_path / "a").is_symlink()


def test_into_a_pipe_the_content_is_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    require_writable(tmp_path / "pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / "pipe", b"content")
    reader.join(10)
    assert found == [b"content"]
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("name", ["é" * 127, "x" * 255, ODD, "a b"])
def test_names_of_every_kind(tmp_path: Path, name: str) -> None:
    require_writable(tmp_path / name)
    write(tmp_path / name, b"1")
    write(tmp_path / name, b"2")
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"2"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder", "is a folder"),
        ("file/a.json", "Not a directory"),
        ("x" * 256, "too long"),
        ("x" * 256 + "/a.json", "too long"),
        ("file", "would be overwritten"),
        ("link", "would be overwritten"),
        ("/proc/a.json", "cannot be written"),
    ],
)
def test_where_nothing_can_be_written_is_told_before(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(InputError, match=says) as caught:
        require_writable(tmp_path / name, [tmp_path / "file"])
    assert str(caught.value).startswith(f"{tmp_path / name}: ") or name.endswith("/a.json")
    require_writable(tmp_path / "missing" / "too" / "a.json", [tmp_path / "file"])
    require_folder(tmp_path / "missing")
    assert names(tmp_path) == ["file", "folder", "link"]


def test_a_protected_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("kept")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write whatever the mode says
    with pytest.raises(InputError, match="Permission denied"):
        require_writable(tmp_path / "a")
    with pytest.raises(PermissionError):
        write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_text() == "kept"


def test_many_files_appear_one_by_one_and_none_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("waits"))
    folder, long = tmp_path / "a" / "b", "é" * 125 + "x.jpg"
    assert len(long.encode()) == 255
    with many_files(folder) as new_file:
        for name in (long, "a.txt", "a.txt"):
            with new_file(name) as made:
                made.write_text(name)
                assert made.parent.parent == folder, "on the disk of the folder, which a link may lead to"
            assert (folder / name).read_text() == name
    assert names(folder) == ["a.txt", long]


def test_what_killed_processes_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    (tmp_path / ".centerx-left" / "new").mkdir(parents=True)
    with new_files(tmp_path / "a") as made:
        made.write_text("whole")
        remove_scratch(tmp_path)
        assert names(tmp_path) == [made.parent.parent.name]
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(errno.ENOSPC, "full")])
def test_an_error_leaves_the_whole_ones_of_many_files_and_no_other(tmp_path: Path, error: Any) -> None:
    with pytest.raises(BaseException) as caught, many_files(tmp_path) as new_file:  # noqa: PT011, PT012
        with new_file("a") as made:
            made.write_text("whole")
        with new_file("b") as made:
            made.write_text("hal")
            raise error
    assert names(tmp_path) == ["a"]
    assert not isinstance(caught.value, OSError) or caught.value.filename == str(tmp_path / "b")


def test_a_copy_onto_a_full_disk_names_the_target(tmp_path: Path) -> None:
    def copy(made: Path) -> None:
        raise OSError(errno.ENOSPC, "full", "source.jpg", None, str(made))  # as `shutil.copyfile`

    with pytest.raises(OSError, match="full") as one, new_files(tmp_path / "b") as made:
        copy(made)
    with pytest.raises(OSError, match="full") as many, many_files(tmp_path) as new_file, new_file("b") as made:
        copy(made)
    for error in (one.value, many.value):
        assert (error.filename, error.filename2) == (str(tmp_path / "b"), None)


def test_a_protected_one_of_many_files_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("kept")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError), many_files(tmp_path) as new_file, new_file("a") as made:
        made.write_text("new")
    assert (tmp_path / "a").read_text() == "kept"


def test_json_gives_every_name_back_and_stays_readable(tmp_path: Path) -> None:
    tree = {"file": ODD, "class": 'straße 猫 😀 \ud800 "\n', "score": 0.5}
    write_json(tmp_path / "a.json", tree)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == tree
    assert os.fsencode(json.loads(text)["file"]) == b"stra\xdfe_caf\xe9.jpg"
    assert "stra\\udcdfe_caf\\udce9.jpg" in text
    assert "straße 猫 😀" in text
    assert json_text([1], indent=1) == "[\n 1\n]"


def test_a_quoted_name_is_one_line_of_utf8() -> None:
    assert quoted(ODD) == "stra%DFe_caf%E9.jpg"
    assert quoted("\ud800a\n\u2028") == "%ED%A0%80a%0A%E2%80%A8"
    assert quoted("straße 猫 😀 100%.jpg") == "straße 猫 😀 100%.jpg"
