"""Plans of runs, and parts that are put together in order whatever the order in which they come."""

from pathlib import Path

import pytest

from cldm_runtime.runs.run import Merge, Part, differences, plan_under_way, read_plan


class Noted(Merge):
    """Notes which parts it copies."""

    def __init__(self, count: int) -> None:
        super().__init__([Part(number, Path(), range(0)) for number in range(count)])
        self.copied: list[int] = []

    def copy(self, part: Part) -> None:
        self.copied.append(part.number)


def test_parts_are_copied_in_their_order_and_a_few_at_a_time() -> None:
    merge = Noted(9)
    merge.add([Part(3, Path(), range(0)), Part(1, Path(), range(0))])
    assert merge.copied == []
    merge.add([Part(number, Path(), range(0)) for number in (0, 2, 4, 5, 6, 7, 8)])
    assert merge.copied == [0, 1, 2, 3]
    merge.finish()
    assert merge.copied == list(range(9))


@pytest.mark.parametrize("text", ["", "[1]", "{", "null", "nan"])
def test_what_is_no_plan(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    assert read_plan(text) == plan_under_way(tmp_path) == plan_under_way(tmp_path / "none") == {}
    assert differences(text, '{"seed": 1}') == "its plan cannot be read"


def test_differences_name_what_was_and_what_is() -> None:
    assert differences('{"seed": 1, "n": 2}', '{"n": 2, "seed": 3}') == "seed was 1, now 3"
    assert differences('{"seed": 1 }', '{"seed": 1}') == "another version wrote it"
