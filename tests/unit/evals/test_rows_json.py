import json

import pytest

from poise.core import Stopped
from poise.costs import Usage
from poise.errors import DataError
from poise.evals.rows import Row
from poise.evals.rows_json import row_from_json, row_to_json, summary_from_json


def test_rows_come_back_from_json() -> None:
    plain = Row("1", "t", "c", "a", "7", None, None, False, False, None, 0, None, Usage(), error="NoAnswer")
    whole = Row(
        "1", "t", "c", "a", "7", "7", "####", True, True, 0.5, 3, Stopped.DONE, Usage(calls=3), 0.25, None, 1.5, 1.02
    )
    for row in (plain, whole):
        assert row_from_json(json.loads(json.dumps(row_to_json(row)))) == row
    assert "value" not in row_to_json(plain)
    with pytest.raises(DataError, match="KeyError: 'item'"):
        row_from_json({})
    with pytest.raises(DataError, match="a summary as Poise writes it"):
        summary_from_json({"arms": []})
