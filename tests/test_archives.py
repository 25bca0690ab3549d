"""The archives of a release: two builds of one tree are equal to the last byte, and hold what they should."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys; from hatchling import build; build.build_sdist(sys.argv[1]); build.build_wheel(sys.argv[1])"


def build(tree: Path, mask: int, seconds: float) -> dict[str, bytes]:
    """Build a copy of this tree whose files are of another time, and whose modes are those of another mask."""
    for part in ("src", "docs", "tests", "locks"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", "results", "figures"))
    for file in (path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"):
        shutil.copyfile(file, tree / file.name)
    for file in tree.rglob("*"):
        file.chmod(0o777 & ~mask if file.is_dir() else 0o666 & ~mask)
        os.utime(file, (seconds, seconds))
    subprocess.run([sys.executable, "-c", BUILD, "dist"], cwd=tree, check=True, capture_output=True)
    return {file.name: file.read_bytes() for file in (tree / "dist").iterdir()}


def test_two_builds_are_equal(tmp_path: Path) -> None:
    first = build(tmp_path / "a", 0o022, 1.7e9)
    assert first == build(tmp_path / "b", 0o077, 1.8e9)
    source, wheel = sorted((tmp_path / "a" / "dist").iterdir(), key=lambda file: file.suffix)
    assert (source.suffix, wheel.suffix) == (".gz", ".whl")
    package = {
        str(file.relative_to(ROOT / "src"))
        for file in (ROOT / "src" / "centerx").rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == package
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in package} <= inside
    whole = {"README.md", "LICENSE", "SECURITY.md", "constraints.txt", "locks/all.txt", "docs/conf.py", "Makefile"}
    assert whole | {"tests/test_archives.py"} <= inside
