import pytest

from centerx.cli.table import MOST_UNSEEN, metrics_table
from centerx.evaluation import Metrics


@pytest.mark.parametrize(("unseen", "rows"), [(MOST_UNSEEN, MOST_UNSEEN), (MOST_UNSEEN + 1, 1)])
def test_many_classes_without_an_object_share_a_row(unseen: int, rows: int, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"rare {number}" for number in range(unseen)]
    metrics_table(Metrics(*[0.5] * 12, per_class={"cat": 0.25} | dict.fromkeys(names), images=3))
    shown = capsys.readouterr().out.splitlines()
    assert sum("0.250" in line for line in shown) == 1
    of_unseen = [line for line in shown if line.rstrip(" │").endswith("-") and ("rare" in line or "classes" in line)]
    assert len(of_unseen) == rows
    if rows == 1:
        assert f"{unseen} classes without an object, such as rare 0" in of_unseen[0]
