"""Files, folders, patterns and videos -> frames, and where drawings go."""

import os
import resource
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from centerx.errors import InputError
from centerx.images import list_images
from centerx.problems import Kind, Problem
from centerx.runtime.mp4 import shown_share
from centerx.runtime.sources import Source, find_sources, frames_due, output_files, video_file
from tests.data.handmade import write_picture

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]  # RGB, one a frame


def write_video(path: Path, code: str = "mp4v", speed: float = 12.0, frames: int = 3) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), speed, (64, 48))
    for colour in islice(cycle(COLOURS), frames):
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


@pytest.mark.parametrize(
    ("name", "code"),
    [("v.wmv", "WMV2"), ("v.ts", "mp4v"), ("v.mpg", "PIM1"), ("v.mpeg", "mpg2"), ("v.flv", "FLV1"), ("v.3gp", "mp4v"),
     ("v.mts", "mpg2"), ("v.asf", "WMV1"), ("v.vob", "mpg2"), ("V.MPG", "PIM1")],
)  # fmt: skip
def test_a_folder_gives_videos_of_many_suffixes(name: str, code: str, tmp_path: Path) -> None:
    write_video(tmp_path / name, code, speed=25, frames=20)
    [source] = find_sources([str(tmp_path)])
    problems: list[Problem] = []
    assert len(list(source.frames(note=problems.append))) == 20
    assert problems == []


def test_a_file_of_unknown_suffix_is_what_it_holds(folder: Path, tmp_path: Path) -> None:
    held = {"clip.dat": folder / "v.mp4", "bare": folder / "b.png", "frame01": folder / "a.JPG"}
    for name, original in held.items():
        (tmp_path / name).write_bytes(original.read_bytes())
    (tmp_path / "notes.nfo").write_text("a\n" * 99)  # FFmpeg would play it
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0" + (folder / "v.mp4").read_bytes()[16:])  # this too
    sources = find_sources(str(tmp_path / name) for name in (*held, "notes.nfo", "a.heic"))
    assert [source.is_video for source in sources] == [True, False, False, False, False]
    assert [len(list(source.frames())) for source in sources[:3]] == [3, 1, 1]
    for source, what in zip(sources[3:], ("a text", "a HEIC picture"), strict=True):
        with pytest.raises(InputError, match=f"{source.name}: not a readable image .it is {what}"):
            next(source.frames())


def test_what_patterns_and_folders_leave_out_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "sub" / "c.nef").write_bytes(b"II*\0")
    assert names([folder]) == ["a.JPG", "b.png", "sub/a.jpg", "v.mp4"]
    assert names([folder / "sub" / "*"]) == ["a.jpg"]
    told = f"file_left_out: 1 skipped: {folder / 'sub' / 'c.nef'}: of a kind that is not read here (.nef)"
    assert caplog.messages == [f"{folder}: {told}", f"{folder / 'sub' / '*'}: {told}"]
    with pytest.raises(InputError, match=r"no such image.* but 1 of a kind that is not read here \(\.nef\)"):
        find_sources([str(folder / "sub" / "*.nef")])
    (folder / "sub" / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"no images in this folder but 1 of a kind that is not read here \(\.nef\)"):
        find_sources([str(folder / "sub")])


def ends_early(path: Path) -> list[str]:
    problems: list[Problem] = []
    read = len(list(Source(path, Path(path.name)).frames(note=problems.append)))
    assert all(each.kind is Kind.VIDEO_ENDS_EARLY and each.where == str(path) for each in problems)
    return [each.what.replace(f"{read} read", "N read") for each in problems]


@pytest.mark.parametrize(
    ("name", "code"), [("v.avi", "MJPG"), ("v.mkv", "mp4v"), ("v.webm", "VP80"), ("v.flv", "FLV1"), ("v.mp4", "mp4v")]
)
def test_a_video_without_its_end_gives_what_it_has_and_is_told(name: str, code: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / name, code, speed=25, frames=60)
    assert ends_early(video) == []
    content = video.read_bytes()
    half = content.find(b"mdat") + 400 if name == "v.mp4" else len(content) // 2
    # The index of this mp4 is at its end: there, all but a few frames become zeros.
    end = content[half:] if name != "v.mp4" else content[half : content.rfind(b"moov") - 4]
    video.write_bytes(content[:half] + (bytes(len(end)) + content[half + len(end) :] if name == "v.mp4" else b""))
    assert ends_early(video) == ["60 frames announced, N read"]


def test_an_mp4_that_shows_a_part_of_its_frames_is_whole(tmp_path: Path) -> None:
    """As trimming without coding anew leaves it: all frames, and an edit that begins at one of them."""
    video = write_video(tmp_path / "v.mp4", speed=25, frames=60)
    content = bytearray(video.read_bytes())
    place = content.find(b"elst") + 12
    units = struct.unpack_from(">I", content, content.find(b"mdhd") + 16)[0]
    struct.pack_into(">Ii", content, place, 1400, units)  # 1.4 s, in thousandths as the film's, from 1 s on
    video.write_bytes(content)
    assert shown_share(video) == pytest.approx(1.4 / 2.4)
    frames = len(list(Source(video, Path("v")).frames()))
    assert 30 <= frames <= 50
    assert ends_early(video) == []


def test_a_share_is_that_of_mp4_files_with_an_index_alone(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "v.mp4", speed=25, frames=10)
    assert shown_share(whole) == 1
    assert shown_share(write_video(tmp_path / "v.avi", "MJPG")) is None
    assert shown_share(tmp_path / "gone.mp4") is None
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        for place in rng.integers(content.find(b"moov") - 4, len(content), size=4):
            damaged[place] = rng.integers(256)
        whole.write_bytes(damaged[: rng.integers(8, len(damaged) + 1)])
        share = shown_share(whole)
        assert share is None or 0 < share <= 1


def test_frames_at_changing_speed_are_not_missing() -> None:
    """A header may count by the highest speed: where the last frame is at the end, none is missing."""
    path = Path("no.mkv")
    assert frames_due(path, announced=600, read=60, speed=60, reached=9.9) == 0
    assert frames_due(path, announced=600, read=60, speed=60, reached=5) == 600
    assert frames_due(path, announced=600, read=575, speed=60, reached=9.5) == 0  # the sound goes on for a while
    assert frames_due(path, announced=float("nan"), read=60, speed=60, reached=5) == 0
    assert frames_due(path, announced=-2e14, read=60, speed=60, reached=5) == 0
    assert frames_due(path, announced=600, read=60, speed=60, reached=0) == 0  # a format that does not tell when


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


def test_a_text_that_names_a_video_is_none(tmp_path: Path) -> None:
    write_video(tmp_path / "other.mp4", "mp4v")
    listed = tmp_path / "list.mp4"
    listed.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(InputError, match="it is a text"):
        next(Source(listed, Path(listed.name)).frames())


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


def test_of_the_pictures_of_a_folder_only_names_are_kept(tmp_path: Path) -> None:
    """At most 600 bytes a picture, with the file to write; two paths of each would be 2,000 and more."""
    folder, count = tmp_path / "many", 10_000
    folder.mkdir()
    (tmp_path / "one.png").write_bytes(b"")
    for number in range(count):
        (folder / f"{number:06d}.png").symlink_to(tmp_path / "one.png")
    tracemalloc.start()
    try:
        sources = find_sources([str(folder)])
        files = output_files(sources, tmp_path / "out")
        for source, file in zip(sources, files, strict=True):
            assert source.name.name == file.name
        assert tracemalloc.get_traced_memory()[1] < 600 * count
    finally:
        tracemalloc.stop()
    assert [len(sources), len(sources[-2:]), sources[count - 1].path] == [count, 2, folder / "009999.png"]


def test_folders_are_listed_in_the_order_of_their_parts(tmp_path: Path) -> None:
    for name in (
        "b.png",
        "a-c/x.png",
        "a/z.png",
        "a/.hidden/y.png",
        ".b/y.png",
        "__MACOSX/y.png",
        "a.png",
        "a/b/y.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert listed == ["a/b/y.png", "a/z.png", "a-c/x.png", "a.png", "b.png", "loop.png"]
    assert listed == [path.relative_to(tmp_path).as_posix() for path in sorted(list_images(tmp_path))]
