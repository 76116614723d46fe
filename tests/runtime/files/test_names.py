"""Names of files and digests, as bundles hold them."""

from pathlib import Path

import pytest

from cldm_runtime.files.names import is_plain_name, is_sha256

EXPORTED = Path(__file__).parents[3] / "exported"


@pytest.mark.parametrize("name", ["a", "MODEL_CARD.md", "4.onnx", "a" * 128])
def test_plain_names(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize("name", ["", ".hidden", "-a", "a/b", "a\\b", "..", "ä", "a\n", "a b", "a" * 129])
def test_names_that_are_refused(name: str) -> None:
    assert not is_plain_name(name)


def test_digests() -> None:
    assert is_sha256("0123456789abcdef" * 4)
    assert not any(map(is_sha256, ("0" * 63, "0" * 65, "F" * 64, "0" * 64 + "\n")))


def test_every_file_of_the_bundles_that_we_give_away_has_a_plain_name() -> None:
    files = [path.name for path in EXPORTED.glob("*/*") if not path.name.startswith(".")]
    assert files
    assert all(map(is_plain_name, files))
