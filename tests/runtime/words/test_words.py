"""Folders of words: both kinds of encoder behind one interface, and what is understood by likeness."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.lge.words import RULES
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.domains.word_rules import NearestMeaning
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.words import load_words, with_words
from cldm_runtime.words.pieces import numbers_of, pieces_of
from words_fixtures import write_words

ATTRIBUTES = ("infarct_size", "transmurality", "endocardial_surface_length", "slice_position")
KINDS = ["vocabulary", pytest.param("hugging-face", marks=pytest.mark.skipif(
    find_spec("tokenizers") is None, reason="tokenizers is not installed: pip install 'cldm-runtime[text]'"))]


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_words(tmp_path / "words", request.param)


def test_words_are_cut_into_pieces() -> None:
    assert pieces_of("A big") == ["<a>", "<big>", "<bi", "big", "ig>", "<big", "big>"]
    numbers = numbers_of(["A big", "none"], {"<big>": 1, "big": 2, "<a>": 3}, 4)
    assert numbers.tolist() == [[3, 1, 2, 0], [0, 0, 0, 0]]


def test_both_encoders_give_vectors_of_length_one(folder: Path) -> None:
    encoder = load_words(folder).encoder
    vectors = encoder.encode(["whopping", "Whopping lumenward"])
    np.testing.assert_allclose(vectors, [[1, 0, 0], [2**-0.5, 2**-0.5, 0]], atol=1e-6)
    np.testing.assert_array_equal(encoder.encode(["whopping"]), vectors[:1])  # whatever else is encoded, and unpadded


def test_a_text_means_its_likely_words(folder: Path) -> None:
    reader = load_words(folder)
    assert reader("whopping lumenward") == NearestMeaning(
        (("size", "large"), ("layer", "subendocardial")), "a big inner one", pytest.approx(1.0, abs=1e-6))
    assert reader("whopping") == NearestMeaning((("size", "large"),), "a big one", pytest.approx(1.0))
    assert reader("banana") is None  # like no known sentence


def test_one_word_of_a_kind_or_several(folder: Path) -> None:
    stated = json.loads((folder / "words.json").read_text())
    vector = np.array([0.8, 0.6, 0.0], dtype=np.float32)
    for several, words in (([], (("size", "large"),)), (["size"], (("size", "large"), ("size", "small")))):
        (folder / "words.json").write_text(json.dumps(stated | {"words": [["size", "large"], ["size", "small"]],
                                                                "several": several}))
        assert load_words(folder).stated(vector) == words


def test_the_grammar_comes_first_and_what_is_taken_is_told(tmp_path: Path) -> None:
    rules = with_words(get_domain("lge"), write_words(tmp_path / "own")).words
    read = rules.read("small lumenward scar", ATTRIBUTES, rules.find_meaning)
    assert read.numbers["infarct_size"] == 0.065 and read.numbers["transmurality"] == 0.35
    assert read.taken[0].startswith("'lumenward': taken for 'subendocardial', as in 'an inner one' (similarity ")
    again = rules.read("small scar", ATTRIBUTES, rules.find_meaning)
    assert not again.taken and "transmurality" not in again.numbers
    kept = rules.read("whopping small scar", ATTRIBUTES, rules.find_meaning)
    assert kept.numbers["infarct_size"] == 0.065 and not kept.taken and kept.unknown == ("whopping",)


def test_what_the_reader_takes_replaces_no_number_and_no_place() -> None:
    def find(text: str) -> NearestMeaning:
        return NearestMeaning((("size", "large"), ("wall", "inferior"), ("absent", "no scar")), "x", 1.0)

    columns = (*ATTRIBUTES, "angle_deg", "rv_insertion_deg", "layer")
    read = RULES.read("foo 12 % of the wall at 3 o'clock", columns, find)
    assert read.numbers["infarct_size"] == 0.12 and read.numbers["angle_deg"] == 90 and not read.taken


@pytest.mark.parametrize("text", ["not transmural", "a scar without a border", "small scar, never basal",
                                  "it isn't large"])
def test_what_a_scar_is_not_is_refused(text: str) -> None:
    assert "what a scar is not cannot be requested" in RULES.read(text, ATTRIBUTES).faults[0]


@pytest.mark.parametrize(("change", "message"), [
    ({"format_version": 2}, "version 2; this program reads 'cldm-words', version 1"),
    ({"words": [["size", "large"]]}, "the meanings are arrays of shape"),
    ({"unheard": 1}, "is not valid"),
    ({"encoder": None}, "is not valid")])
def test_folders_that_cannot_be_used_say_why(folder: Path, change: dict, message: str) -> None:
    stated = json.loads((folder / "words.json").read_text())
    (folder / "words.json").write_text(json.dumps(stated | change))
    with pytest.raises(BundleError, match=message):
        load_words(folder)


def test_damaged_files_are_noticed(folder: Path) -> None:
    (folder / "tokens.txt").write_text("altered")
    with pytest.raises(BundleError, match="the file was altered or truncated"):
        load_words(folder)


def test_words_of_another_domain_are_refused(folder: Path) -> None:
    stated = json.loads((folder / "words.json").read_text())
    (folder / "words.json").write_text(json.dumps(stated | {"domain": "brain"}))
    rules = with_words(get_domain("lge"), folder).words
    with pytest.raises(InputError, match="these words belong to the domain 'brain'"):
        rules.read("lumenward", ATTRIBUTES, rules.find_meaning)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"Run: pip install 'cldm-runtime\[text\]'"):
        load_words(write_words(tmp_path / "words", "hugging-face"))
