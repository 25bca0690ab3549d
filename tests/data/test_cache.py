"""Caches of decoded pictures: the same pictures, bounded, shared by workers, safe against damage and changed files."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from centerx.build_data import build_datasets, build_source, build_train_pictures  # noqa: E402
from centerx.config import load_config  # noqa: E402
from centerx.data import cache  # noqa: E402
from centerx.data.batch import EpochBatches, load_batches  # noqa: E402
from centerx.data.cache import DiskCache, RamCache  # noqa: E402
from centerx.errors import InputError  # noqa: E402
from centerx.images import read_image  # noqa: E402
from centerx.levels import AUTO  # noqa: E402

LARGE = 10**8


def write_pictures(folder: Path, count: int = 6) -> list[Path]:
    rng = np.random.default_rng(0)
    files = [folder / f"{k}.{'png' if k % 3 == 2 else 'jpg'}" for k in range(count)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (160, 200, 3), dtype=np.uint8)).save(file)
    return files


def caches(files: list[Path], folder: Path, most_bytes: int = LARGE) -> list[cache.Read]:
    return [RamCache(files, most_bytes), DiskCache(folder, most_bytes)]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []

    def counting(path, *rest):
        read.append(path)
        return read_image(path, *rest)

    monkeypatch.setattr(cache, "read_image", counting)
    return read


@pytest.mark.parametrize("kind", [0, 1], ids=["ram", "disk"])
def test_pictures_are_decoded_once_and_stay_the_same(kind, tmp_path, monkeypatch):
    files = write_pictures(tmp_path)
    read = caches(files, tmp_path / "kept")[kind]
    decoded = count_reads(monkeypatch)
    for _ in range(3):
        for file in files:
            for reduction in (1, 2, 8):
                assert np.array_equal(read(file, AUTO, reduction), read_image(file, AUTO, reduction))
    assert len(decoded) == 3 * len(files)


@pytest.mark.parametrize("kind", [0, 1], ids=["ram", "disk"])
def test_what_does_not_fit_is_read_anew_and_told_once(kind, tmp_path, monkeypatch, caplog):
    files = write_pictures(tmp_path)
    read = caches(files, tmp_path / "kept", most_bytes=2 * (160 * 200 * 3 + 128))[kind]
    decoded = count_reads(monkeypatch)
    for _ in range(2):
        for file in files:
            assert np.array_equal(read(file, AUTO, 1), read_image(file))
    assert len(decoded) == 2 + 2 * 4
    assert [record.message.split(":")[0] for record in caplog.records] == ["data.cache"]
    if kind:
        assert sum(file.stat().st_size for file in (tmp_path / "kept").iterdir()) <= 2 * (160 * 200 * 3 + 128)
        assert DiskCache(tmp_path / "kept", LARGE).room.used.value == 2 * (160 * 200 * 3 + 128)


@pytest.mark.parametrize("kind", [0, 1], ids=["ram", "disk"])
def test_a_broken_picture_is_refused_with_a_cache_as_without(kind, tmp_path):
    (file,) = write_pictures(tmp_path, 1)
    file.write_bytes(file.read_bytes()[:-3000])
    read = caches([file, tmp_path / "gone.jpg"], tmp_path / "kept")[kind]
    for _ in range(2):
        with pytest.raises(InputError, match="truncated"):
            read(file, AUTO, 1)
        with pytest.raises(InputError, match="no such image"):
            read(tmp_path / "gone.jpg", AUTO, 1)


def test_files_of_the_cache_are_checked_and_follow_the_picture(tmp_path, monkeypatch):
    (file,) = write_pictures(tmp_path, 1)
    read = DiskCache(tmp_path / "kept", LARGE)
    first = read(file, AUTO, 1)
    decoded = count_reads(monkeypatch)
    (kept,) = (tmp_path / "kept").glob("*.npy")
    whole, archive = kept.read_bytes(), io.BytesIO()
    np.savez(archive, picture=first)
    damages = [whole[:1000], b"", b"nonsense", archive.getvalue()]
    damages += [whole.replace(b"(160, 200, 3), }", other) for other in (b"((160, 200, 3),}", b"(99999999999999)}")]
    for damage in damages:
        kept.write_bytes(damage)
        assert np.array_equal(read(file, AUTO, 1), first)
    kept.unlink()
    os.mkfifo(kept)
    assert np.array_equal(read(file, AUTO, 1), first)
    kept.unlink()
    assert np.array_equal(read(file, AUTO, 1), first)
    assert len(decoded) == 8
    assert np.array_equal(read(file, AUTO, 1), first)
    assert len(decoded) == 8
    Image.new("RGB", (200, 160), "red").save(file)
    assert np.array_equal(read(file, AUTO, 1), read_image(file))
    os.utime(file, ns=(1, 1))
    read(file, AUTO, 1)
    assert len(decoded) == 10


def test_a_full_disk_is_told_once_and_pictures_are_read_all_the_same(tmp_path, monkeypatch, caplog):
    def full(file, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(cache, "write_atomic", full)
    read = DiskCache(tmp_path / "kept", LARGE)
    for file in write_pictures(tmp_path) * 2:
        assert np.array_equal(read(file, AUTO, 1), read_image(file))
    (told,) = (record.message for record in caplog.records)
    assert told.endswith("kept cannot be written (No space left on device), so no more pictures are kept")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("tiles", ["null", "{size: 96}"])
def test_batches_with_a_cache_are_those_without(workers, tiles, tmp_path):
    write_pictures(tmp_path)
    seen = []
    for kind in ("none", "ram", "disk", "disk"):
        config = load_config(
            "nano",
            [
                f"data.train=[{{path: {tmp_path}, format: folder}}]", "data.input_size=64", "classes=[a]",
                f"data.cache={kind}", f"data.cache_folder={tmp_path / '.kept'}", f"data.workers={workers}",
                f"data.tiles={tiles}", "augment.mosaic=0.5", "data.cache_gigabytes=0.1",
            ],
        )  # fmt: skip
        pictures = build_train_pictures(config, build_source(config, build_datasets(config.data.train)))
        sampler = EpochBatches(len(pictures), 3, seed=0)
        batches = load_batches(pictures, workers, batch_sampler=sampler, persistent_workers=workers > 0)
        images = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            images += [batch.images for batch in batches]
        seen.append(torch.cat(images))
    assert all(torch.equal(seen[0], other) for other in seen[1:])


def test_memory_is_shared_by_forked_workers(tmp_path):
    files = write_pictures(tmp_path)
    read = RamCache(files, LARGE)
    loader = torch.utils.data.DataLoader(
        files, num_workers=2, collate_fn=lambda some: [read(file, AUTO, 2) for file in some], batch_size=1
    )
    assert len(list(loader)) == len(files)
    sizes = [read_image(file, AUTO, 2).nbytes for file in files]
    assert read.room.used.value == sum(sizes)
    assert (read.places[:, 1, 1] > 0).all()


def test_ram_needs_forked_workers(tmp_path, monkeypatch):
    write_pictures(tmp_path)
    monkeypatch.setattr("multiprocessing.get_start_method", lambda: "spawn")
    words = [f"data.train=[{{path: {tmp_path}, format: folder}}]", "classes=[a]", "data.cache=ram"]
    config = load_config("nano", words)
    with pytest.raises(InputError, match=r"^data\.cache: ram is shared by forked"):
        build_train_pictures(config, build_source(config, build_datasets(config.data.train)))
