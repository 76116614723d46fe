"""Manifests of format 1 from before `nature` are read for ever, and the reworded ones describe the same files."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cldm_runtime.bundle.read_manifest import read_manifest

TOP = Path(__file__).parents[2]
OLD = {path.stem: path.read_text(encoding="utf-8") for path in (TOP / "tests/data/manifests-1.0").glob("*.json")}
GONE = {"lge-attributes-as-released"}  # made again by its configuration
NEW = {name: (TOP / "exported" / name / "manifest.json").read_text(encoding="utf-8")
       for name in OLD if name not in GONE}
TEXTS = [TOP / "docs/results.md", *(TOP / "exported").glob("*/manifest.json"), *(TOP / "exported").glob("*/*.md")]


def numbers(value: Any) -> list[Any]:
    """Every number, text and null in JSON values but for the names of keys, in order; "real" counts as "cohort"."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [{"real": "cohort"}.get(value, value) if isinstance(value, str) else value]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_there_is_an_old_manifest_for_each_bundle_of_that_time() -> None:
    assert len(OLD) == 10 and all(json.loads(text)["format_version"] == 1 for text in OLD.values())


@pytest.mark.parametrize("name", OLD)
def test_an_old_manifest_is_read_and_says_nothing_of_its_nature(name: str) -> None:
    manifest = read_manifest(OLD[name])
    assert manifest.nature is None and manifest.to_json() == OLD[name]


@pytest.mark.parametrize("name", NEW)
def test_the_committed_manifest_changed_in_words_only(name: str) -> None:
    old, new = json.loads(OLD[name]), json.loads(NEW[name])
    assert new.pop("nature") == "phantom"
    assert (old["graphs"], old["reference"]) == (new["graphs"], new["reference"])
    assert numbers(old) == numbers(new)


@pytest.mark.parametrize("name", NEW)
def test_card_and_manifest_call_the_phantom_a_phantom(name: str) -> None:
    card = (TOP / "exported" / name / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.split("\n\n")[1] == "Trained on drawn phantoms; no patient data."
    assert not re.search(r"\breal\b", card + NEW[name])


def test_every_digest_that_a_text_names_is_of_a_manifest_that_is_kept() -> None:
    today = [path.read_text(encoding="utf-8") for path in (TOP / "exported").glob("*/manifest.json")]
    kept = {digest(text)[:12] for text in (*OLD.values(), *today)}
    named = {found for path in TEXTS for found in re.findall(r"\(manifest ([0-9a-f]{12})\)", path.read_text())}
    assert len(named) > 5 and named <= kept
    teacher = json.loads(NEW["lge"])["distilled"]["teacher_sha256"]
    assert teacher in {digest(OLD["lge-teacher"]), digest(NEW["lge-teacher"])}
