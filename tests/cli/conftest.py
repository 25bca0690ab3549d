"""Running the command line inside the test's own process."""

import sys
from collections.abc import Callable

import pytest

from centerx.cli.main import main

CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def centerx(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Run the command line; return status, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["centerx", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run
