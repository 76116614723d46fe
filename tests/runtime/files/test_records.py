"""Records from JSON values, with every fault under its key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from cldm_runtime.files.records import TOML, plain, read_record


@dataclass(frozen=True)
class Inner:
    size: float
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    name: str
    pair: tuple[int, int]
    inner: Inner
    many: tuple[Inner, ...] = ()
    table: Mapping[str, int] | None = None


VALUE = {"name": "x", "pair": [1, 2], "inner": {"size": 3, "kind": "b"}, "many": [{"size": 1.5}], "table": {"k": 4}}


def test_there_and_back():
    record = read_record(Outer, VALUE, "", [])
    assert record == Outer("x", (1, 2), Inner(3.0, "b"), (Inner(1.5),), {"k": 4})
    assert read_record(Outer, plain(record), "", []) == record


def test_fields_that_are_none_are_left_out():
    assert "table" not in plain(Outer("x", (1, 2), Inner(1.0)))


@pytest.mark.parametrize(("change", "fault"), [
    ({"name": 3}, "name: found 3, expected a string"),
    ({"pair": [1]}, "pair: found 1 entries, expected 2"),
    ({"pair": [1, True]}, "pair[1]: found True, expected an integer"),
    ({"inner": {"size": float("nan")}}, "inner.size: found nan, expected a finite number"),
    ({"inner": {"size": 1, "kind": "c"}}, "inner.kind: found 'c', expected one of: a, b"),
    ({"inner": {}}, "inner.size: missing"),
    ({"extra": 1}, "extra: unknown key"),
    ({"many": {}}, "many: found an object, expected an array"),
])
def test_faults_name_the_key(change, fault):
    faults = []
    assert read_record(Outer, VALUE | change, "", faults) is None
    assert len(faults) == 1
    assert fault in faults[0]


def test_all_faults_are_reported_at_once():
    faults = []
    read_record(Outer, {"name": 1, "pair": 2}, "top", faults)
    assert [fault.split(":")[0] for fault in faults] == ["top.name", "top.pair", "top.inner"]


@dataclass(frozen=True)
class Section:
    inner: Inner
    names: dict[str, str] = field(default_factory=dict)


def test_tables_of_toml_are_read_by_the_same_reader():
    assert read_record(Section, {"inner": {"size": 1}, "names": {"a": "b"}}, "", [], TOML) == Section(
        Inner(1.0), {"a": "b"})
    faults = []
    read_record(Section, {"names": []}, "", faults, TOML)
    assert faults == ["inner: missing. Expected a table.", "names: found a list, expected a table."]


def test_a_type_that_may_be_one_of_several_is_spelled_out():
    faults = []
    read_record(Outer, VALUE | {"table": 3}, "", faults)
    read_record(Inner, {}, "inner", faults)
    assert faults == ["table: found 3, expected an object.", "inner.size: missing. Expected a number."]
