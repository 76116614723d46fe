"""Makes a folder of words: sentences, an encoder, what its vectors mean, and how often that is right."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cldm_runtime.bundle.manifest import FileSpec
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of_bytes
from cldm_runtime.files.npz import npz_bytes
from cldm_runtime.files.records import plain
from cldm_runtime.words.folder import (
    FORMAT,
    FORMAT_VERSION,
    WORDS_FILE,
    EncoderSpec,
    WordsSpec,
    load_words,
    open_encoder,
)

from ..graphs.write import round_to_half
from .figures import measure_reading, sets_of
from .foreign import TOKENIZER, ForeignEncoder, read_folder
from .meanings import fit_reader
from .phrases import Phrases, Sentence, Word, draw_sentences, draw_training, read_phrases
from .small_encoder import encoder_graph, train_encoder

_GRAPH, _VOCABULARY, _MEANINGS = "encoder.onnx", "vocabulary.txt", "meanings.npz"


def run(phrases_file: Path, target: Path, encoder_folder: Path | None, *, force: bool = False,
        say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Write the folder, and return what was measured on its test sentences. encoder_folder: an encoder of others; None:
    a small one is trained. Raises InputError where the target exists and `force` is not given."""
    phrases, rules = read_phrases(phrases_file)
    if target.exists() and not (force and (target / WORDS_FILE).is_file()):
        raise InputError(f"{target} exists. Pass --force to replace a folder of words, or another --out.")
    words = [(kind, word) for kind in phrases.train.words for word in rules.vocabulary[kind]]
    training = draw_training(phrases)
    validation = [sentence for number, ways in enumerate((phrases.train, phrases.validation), 1)
                  for sentence in draw_sentences(phrases, ways, phrases.measured, phrases.seed + number)]
    draft = target.with_name(f".{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        spec = _write_encoder(draft, encoder_folder, phrases, words, training, say)
        say("what the vectors mean: regressions and thresholds")
        reader, arrays = fit_reader(open_encoder(draft, spec), phrases, words, training, validation, str(draft))
        record = WordsSpec(
            phrases.name, phrases.version, phrases.domain, _description(encoder_folder), phrases.licence, spec,
            _written(draft / _MEANINGS, npz_bytes(arrays)), tuple(words), reader.sentences, reader.least_similarity,
            reader.least_probability, phrases.several,
            provenance={"phrases": phrases_file.name, "phrases_sha256": sha256_of_bytes(phrases_file.read_bytes()),
                        "sentences": phrases.sentences, "seed": phrases.seed})
        _write_record(draft, record)
        say("measuring on test sentences")
        quality = measure(draft, phrases)
        _write_record(draft, replace(record, quality=quality))
        _replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return quality


def measure(folder: Path, phrases: Phrases) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of the test sentences, by how they are worded and by who reads them: see `measure_reading`."""
    domain, reader = get_domain(phrases.domain), load_words(folder)
    readers = {"grammar": None, "grammar and likeness": reader}
    return {name: {who: {what: round(value, 4) for what, value in
                         measure_reading(domain, sentences, phrases.test.unrelated, find).items()}
                   for who, find in readers.items()}
            for name, sentences in sets_of(phrases, domain).items()}


def foreign_spec(folder: Path, found: ForeignEncoder) -> EncoderSpec:
    """What words.json says of an encoder of others, whose files are written into the folder."""
    return EncoderSpec("hugging-face", _written(folder / _GRAPH, found.graph),
                       _written(folder / TOKENIZER, found.tokenizer), found.longest, found.output, found.pooling)


def _write_encoder(folder: Path, encoder_folder: Path | None, phrases: Phrases, words: list[Word],
                   training: list[Sentence], say: Callable[[str], None]) -> EncoderSpec:
    if encoder_folder is not None:
        return foreign_spec(folder, read_folder(encoder_folder))
    settings = phrases.encoder
    vocabulary, encoder = train_encoder(training, words, settings, phrases.seed, say)
    round_to_half(encoder)
    return EncoderSpec("vocabulary", _written(folder / _GRAPH, encoder_graph(encoder, settings.longest)),
                       _written(folder / _VOCABULARY, "".join(f"{piece}\n" for piece in vocabulary).encode()),
                       settings.longest)


def _description(encoder_folder: Path | None) -> str:
    encoder = ("A small text encoder, trained on the sentences alone" if encoder_folder is None
               else f"The text encoder of the folder {encoder_folder.name}, as it was found")
    return (f"{encoder}; it reads what the grammar of prompts does not know, by likeness to sentences with known "
            "meaning. English only. It knows no negation.")


def _written(path: Path, data: bytes) -> FileSpec:
    path.write_bytes(data)
    return FileSpec(path.name, sha256_of_bytes(data))


def _write_record(folder: Path, record: WordsSpec) -> None:
    text = {"format": FORMAT, "format_version": FORMAT_VERSION, **plain(record)}
    (folder / WORDS_FILE).write_text(json.dumps(text, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _replace(draft: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    os.rename(draft, target)
