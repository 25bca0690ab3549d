"""A bar on a terminal, plain lines elsewhere; a library without a display is silent."""

import sys

import pytest

from centerx import progress
from centerx.cli import progress as terminal
from centerx.cli.progress import Terminal


def test_short_work_tells_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.shown_on(Terminal()):
        assert list(progress.track("abc", "reading")) == ["a", "b", "c"]
        assert list(progress.track([], "reading")) == []
    assert capfd.readouterr() == ("", "")


def test_long_work_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A clock that gives 4 seconds to each item: a line is due at every third."""
    seconds = iter(range(0, 1000, 4))
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    now = [0]
    with progress.shown_on(Terminal()):
        for _ in progress.track(range(8), "reading"):
            now[0] = next(seconds)
    assert capfd.readouterr() == ("", "reading: 4 of 8\nreading: 7 of 8\n")


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "PAUSE", 0.0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.shown_on(Terminal()):
        assert list(progress.track(range(3), "reading")) == [0, 1, 2]
    out, err = capfd.readouterr()
    assert "reading" in out
    assert err == ""


def test_without_a_display_nothing_is_shown(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "PAUSE", 0.0)
    with pytest.raises(ZeroDivisionError), progress.shown_on(Terminal()):
        raise ZeroDivisionError
    assert list(progress.track(range(3), "reading")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
