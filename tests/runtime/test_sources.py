"""Files, folders, patterns and videos -> frames, and where drawings go."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from centerx.errors import InputError
from centerx.runtime.sources import Source, find_sources, output_files, video_file
from tests.data.handmade import write_picture

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]  # RGB, one a frame


def write_video(path: Path, code: str = "mp4v", speed: float = 12.0, frames: int = 3) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), speed, (64, 48))
    for colour in COLOURS[:frames]:
        writer.write(np.full((48, 64, 3), colour[::-1], dtype=np.uint8))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures on two levels, a video and a text."""
    for name in ("b.png", "a.JPG", "sub/a.jpg"):
        write_picture(tmp_path / "in" / name)
    write_video(tmp_path / "in" / "v.mp4")
    (tmp_path / "in" / "readme.txt").write_text("no picture")
    return tmp_path / "in"


def names(arguments: list[object]) -> list[str]:
    return [str(source.name) for source in find_sources(map(str, arguments))]


def test_a_folder_gives_what_lies_in_it(folder: Path) -> None:
    assert names([folder]) == ["a.JPG", "b.png", "sub/a.jpg", "v.mp4"]


def test_files_and_patterns_in_the_order_given(folder: Path) -> None:
    assert names([folder / "v.mp4", folder / "b.png"]) == ["v.mp4", "b.png"]
    assert names([folder / "*"]) == ["a.JPG", "b.png", "v.mp4"]
    assert names([folder / "**" / "*.jpg", folder / "b.png"]) == ["a.jpg", "b.png"]


def test_a_file_with_pattern_characters_is_itself(tmp_path: Path) -> None:
    assert names([write_picture(tmp_path / "a[1].png")]) == ["a[1].png"]


@pytest.mark.parametrize("argument", ["nowhere", "nowhere/*.png", "in/*.txt", "empty"])
def test_nothing_to_look_at_is_named(argument: str, folder: Path) -> None:
    (folder.parent / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        find_sources([str(folder), str(folder.parent / argument)])
    assert argument in str(caught.value)


def test_output_files_keep_apart_what_has_one_name(tmp_path: Path) -> None:
    sources = [Source(tmp_path / str(k) / name, Path(name)) for k, name in enumerate(
        ["a.jpg", "sub/a.jpg", "a.jpg", "a-2.jpg", "v.avi", "v.mp4", "bare", "bare.png", "clip.MOV"]
    )]  # fmt: skip
    out = [str(file.relative_to(tmp_path / "out")) for file in output_files(sources, tmp_path / "out")]
    assert out == [
        "a.jpg", "sub/a.jpg", "a-2.jpg", "a-2-2.jpg", "v.mp4", "v-2.mp4", "bare.png", "bare-2.png", "clip.mp4",
    ]  # fmt: skip


def test_no_source_is_overwritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="overwritten"):
        output_files(find_sources([str(folder)]), folder)
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="overwritten"):
        output_files(find_sources(["b.png"]), Path("sub") / "..")


@pytest.mark.parametrize(("suffix", "code"), [(".mp4", "mp4v"), (".avi", "MJPG")])
def test_frames_of_a_video_are_rgb_in_order(suffix: str, code: str, tmp_path: Path) -> None:
    frames = list(Source(write_video(tmp_path / f"v{suffix}", code), Path("v")).frames())
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert np.abs(frame.astype(int) - colour).mean() < 12


def test_a_bare_stream_of_h264(tmp_path: Path) -> None:
    """Uncompressed macroblocks of one colour, after the parameter sets of 128 x 96 pixels."""
    start, block = bytes.fromhex("00000001"), bytes([120] * 256 + [100] * 64 + [150] * 64)
    sets = start + bytes.fromhex("6742000af841a2") + start + bytes.fromhex("68ce3880")
    picture = start + bytes.fromhex("05888421a0") + b"\x0d\x00".join([block] * 48) + b"\x80"
    (tmp_path / "v.h264").write_bytes(sets + 2 * picture)
    [source] = find_sources([str(tmp_path / "v.h264")])
    first, second = source.frames()
    assert first.shape == (96, 128, 3)
    assert np.array_equal(first, second)
    assert np.abs(first.astype(int) - (156, 113, 64)).max() <= 4


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    [frame] = Source(write_picture(tmp_path / "a.png", grey=77), Path("a.png")).frames()
    assert np.array_equal(frame, np.full((30, 40, 3), 77))


def test_broken_videos_are_named_without_chatter(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write_video(tmp_path / "v.mp4").read_bytes()
    bare = write_video(tmp_path / "v.avi", "MJPG", frames=0).read_bytes()
    broken = {"text.mp4": b"hello", "empty.avi": b"", "cut.mp4": whole[: len(whole) // 2], "bare.avi": bare}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            list(Source(tmp_path / name, Path(name)).frames())
    assert capfd.readouterr() == ("", "")


def test_a_video_file_runs_at_the_speed_of_another(tmp_path: Path) -> None:
    like = write_video(tmp_path / "v.avi", "MJPG", speed=12.0)
    with video_file(tmp_path / "new" / "copy.mp4", like) as add:
        for frame in Source(like, Path("v.avi")).frames():
            add(frame)
    capture = cv2.VideoCapture(str(tmp_path / "new" / "copy.mp4"))
    assert (capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)) == (12.0, 3)
    copied = list(Source(tmp_path / "new" / "copy.mp4", Path("copy.mp4")).frames())
    assert np.abs(copied[2].astype(int) - COLOURS[2]).mean() < 12
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["copy.mp4"]


def test_a_video_file_without_frames_leaves_nothing(tmp_path: Path) -> None:
    with video_file(tmp_path / "v.mp4", tmp_path / "like.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_ends_early_leaves_the_former_one(tmp_path: Path) -> None:
    like, out = write_video(tmp_path / "like.avi", "MJPG"), tmp_path / "v.mp4"
    out.write_bytes(b"former")
    with pytest.raises(KeyboardInterrupt), video_file(out, like) as add:  # noqa: PT012
        add(np.zeros((48, 64, 3), np.uint8))
        raise KeyboardInterrupt
    assert out.read_bytes() == b"former"
    assert len(list(tmp_path.iterdir())) == 2


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_told_of_a_video_too(tmp_path: Path) -> None:
    """OpenCV itself says nothing of it."""
    like, out = write_video(tmp_path / "like.avi", "MJPG"), tmp_path / "v.mp4"
    out.write_bytes(b"former")
    frames = np.random.default_rng(0).integers(0, 256, (30, 96, 128, 3), np.uint8)
    with (  # noqa: PT012
        files_of_at_most(1 << 16),
        pytest.raises(OSError, match=r"0 of 30 frames .*v\.mp4"),
        video_file(out, like) as add,
    ):
        for frame in frames:
            add(frame)
    assert out.read_bytes() == b"former"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_video_whose_name_is_not_utf8(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xe9.avi")
    write_video(tmp_path / "v.avi", "MJPG").rename(odd)
    with video_file(tmp_path / os.fsdecode(b"\xdf.mp4"), odd) as add:
        for frame in Source(odd, Path(odd.name)).frames():
            add(frame)
    assert len(list(Source(tmp_path / os.fsdecode(b"\xdf.mp4"), Path("a.mp4")).frames())) == 3
