"""A folder of words: a text encoder, and what its vectors mean in the words of a domain's grammar.

`words.json` is the only contract; every other file is listed there with its SHA-256. docs/words.md specifies it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..bundle.bundle import read_listed, read_regular
from ..bundle.manifest import FileSpec, GraphSpec
from ..bundle.onnx_scan import scan_model
from ..domains.domain import Domain
from ..engines.onnx import declared_graph
from ..engines.open import open_engine
from ..errors import BundleError, checked_path, list_faults
from ..files.npz import read_npz
from ..files.records import read_record
from .encoder import TextEncoder
from .hugging_face import HuggingFaceEncoder, Pooling
from .reader import MeaningReader, check_fit
from .vocabulary import VocabularyEncoder

WORDS_FILE = "words.json"
FORMAT, FORMAT_VERSION = "cldm-words", 1
_LARGEST = 2**20  # bytes of words.json
_LONGEST = 4096  # tokens of a text


@dataclass(frozen=True)
class EncoderSpec:
    """kind: whose tokens it takes. graph: the ONNX file. tokens: vocabulary.txt or tokenizer.json. output, pooling: see
    `HuggingFaceEncoder`; longest: tokens of a text."""

    kind: Literal["vocabulary", "hugging-face"]
    graph: FileSpec
    tokens: FileSpec
    longest: int
    output: str = "vector"
    pooling: Pooling = "none"


@dataclass(frozen=True)
class WordsSpec:
    """words.json. words: (kind, word) of the domain's vocabulary, one for each row of the weights. meanings: the npz
    with the weights, and the vectors of `sentences`. several: kinds of which a text may state more than one word.
    least_similarity, least_probability: what is below is not understood. quality: what was measured; provenance: what
    it was made from."""

    name: str
    version: str
    domain: str
    description: str
    licence: str
    encoder: EncoderSpec
    meanings: FileSpec
    words: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    least_similarity: float
    least_probability: float
    several: tuple[str, ...] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    format: Literal["cldm-words"] = "cldm-words"
    format_version: int = FORMAT_VERSION


def load_words(folder: Path) -> MeaningReader:
    """The reader of a folder of words. Raises BundleError for one that is missing, damaged or newer, InputError where a
    package is missing."""
    folder = checked_path(folder, "words")
    spec = _read_spec(folder)
    arrays = read_npz(read_listed(folder, spec.meanings.file, spec.meanings.sha256), str(folder / spec.meanings.file))
    return MeaningReader.of(open_encoder(folder, spec.encoder), arrays, spec.words, spec.sentences, spec.domain,
                            spec.least_similarity, spec.least_probability, spec.several, str(folder))


def with_words(domain: Domain, folder: Path) -> Domain:
    """The domain whose prompts the folder also reads. The folder is opened when a prompt first needs it."""
    if domain.words is None:
        return domain

    @cache
    def opened() -> MeaningReader:
        reader = load_words(folder)
        check_fit(reader, domain)
        return reader

    return replace(domain, words=replace(domain.words, find_meaning=lambda text: opened()(text)))


def open_encoder(folder: Path, spec: EncoderSpec) -> TextEncoder:
    """The text encoder of a folder. Raises BundleError, InputError."""
    data = read_listed(folder, spec.graph.file, spec.graph.sha256)
    tokens = read_listed(folder, spec.tokens.file, spec.tokens.sha256)
    if faults := scan_model(data):
        raise BundleError(list_faults(f"graph {folder / spec.graph.file} is refused.", faults))
    if not 1 <= spec.longest <= _LONGEST:
        raise BundleError(f"{folder / WORDS_FILE}: encoder.longest is {spec.longest}, expected 1 to {_LONGEST}.")
    graph: GraphSpec = declared_graph(data, spec.graph.file, 1)
    engine, where = open_engine(data, graph, "cpu", 1), str(folder / spec.tokens.file)
    if spec.kind == "vocabulary":
        return VocabularyEncoder(tokens, engine, spec.longest, where)
    return HuggingFaceEncoder(tokens, engine, graph, spec.output, spec.pooling, spec.longest, where)


def _read_spec(folder: Path) -> WordsSpec:
    where, faults = folder / WORDS_FILE, list[str]()
    try:
        found = json.loads(read_regular(folder, WORDS_FILE, _LARGEST))
    except ValueError as error:
        raise BundleError(f"{where} is not JSON: {error}. Make the folder again.") from error
    stated = (found.get("format"), found.get("format_version")) if isinstance(found, dict) else (None, None)
    if stated != (FORMAT, FORMAT_VERSION):
        raise BundleError(f"{where}: format {stated[0]!r}, version {stated[1]!r}; this program reads {FORMAT!r}, "
                          f"version {FORMAT_VERSION}. Use a folder that `cldm-train words` wrote, or a newer program.")
    spec = read_record(WordsSpec, found, "words", faults)
    if spec is None:
        raise BundleError(list_faults(f"{where} is not valid.", faults))
    return spec
