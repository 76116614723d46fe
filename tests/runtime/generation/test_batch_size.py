"""The fastest batch size: measured once, remembered, and never in the way."""

from pathlib import Path

import pytest

from cldm_runtime import Generator
from cldm_runtime.files.user_cache import cache_folder
from cldm_runtime.generation import batch_size
from cldm_runtime.generation.batch_size import SIZES, best_batch_size, measured_batch_size


@pytest.fixture
def model(tiny_generator: Path) -> Generator:
    return Generator.load(tiny_generator, threads=1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(batch_size, "_SECONDS_A_SIZE", 0.0)


def measured(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(batch_size, "measured_batch_size", lambda seconds: size)


def test_the_size_with_the_fewest_seconds_a_sample_is_chosen() -> None:
    assert measured_batch_size(lambda size: abs(size - 8)) == 8
    assert measured_batch_size(lambda size: 1.0) == 1  # the smallest of equals


def test_sizes_that_would_take_long_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "_LONGEST_S", 0.0)
    assert measured_batch_size(lambda size: -size) == 1


def test_the_networks_of_a_bundle_are_timed(model: Generator) -> None:
    assert best_batch_size(model, model.settings()) in SIZES
    assert model.seconds_a_sample(model.settings(batch_size=2)) > 0


def test_what_was_measured_is_remembered_for_these_settings(model: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, 2)
    assert best_batch_size(model, model.settings()) == 2
    measured(monkeypatch, 4)
    assert best_batch_size(model, model.settings()) == 2 and best_batch_size(model, model.settings(steps=3)) == 4


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": 1}', "\udcff"])
def test_a_cache_that_is_not_ours_is_ignored(model: Generator, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    cache_folder().mkdir()
    (cache_folder() / "batch-size.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    measured(monkeypatch, 2)
    assert best_batch_size(model, model.settings()) == 2


def test_a_size_that_is_none_is_measured_again(model: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, 7)
    best_batch_size(model, model.settings())
    measured(monkeypatch, 8)
    assert best_batch_size(model, model.settings()) == 8


def test_a_folder_that_cannot_be_made_is_no_error(model: Generator, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file")
    measured(monkeypatch, 2)
    assert best_batch_size(model, model.settings()) == 2


def test_the_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLDM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder() == tmp_path / "caches" / "cldm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "cldm"
