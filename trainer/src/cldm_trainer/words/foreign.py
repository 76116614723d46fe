"""A text encoder in a local folder of the Hugging Face kind: its ONNX graph, its tokenizer, and how it pools."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cldm_runtime.engines.onnx import declared_graph
from cldm_runtime.errors import InputError
from cldm_runtime.files.user_files import read_json
from cldm_runtime.words.hugging_face import Pooling

_GRAPHS = ("model.onnx", "onnx/model.onnx", "model_quantized.onnx", "onnx/model_quantized.onnx")
TOKENIZER = "tokenizer.json"
_LONGEST = 128  # tokens
_LARGEST_JSON = 2**20  # bytes


@dataclass(frozen=True)
class ForeignEncoder:
    """The bytes of graph and tokenizer, the output that holds vectors, how they are pooled, and tokens of a text."""

    graph: bytes
    tokenizer: bytes
    output: str
    pooling: Pooling
    longest: int


def read_folder(folder: Path) -> ForeignEncoder:
    """Raises InputError for a folder without an ONNX graph or a tokenizer."""
    graph = next((folder / name for name in _GRAPHS if (folder / name).is_file()), None)
    if graph is None:
        weights = [path.name for path in sorted(folder.glob("*")) if path.suffix in (".safetensors", ".bin")]
        raise InputError(f"{folder}: no ONNX graph, expected one of: {', '.join(_GRAPHS)}."
                         + (f" It holds {', '.join(weights)}: export it to ONNX first, for example with "
                            "`optimum-cli export onnx` and its task feature-extraction." if weights else ""))
    if not (folder / TOKENIZER).is_file():
        raise InputError(f"{folder}: no {TOKENIZER}. Save the tokenizer of the encoder there, in the fast form.")
    data = graph.read_bytes()
    outputs = declared_graph(data, graph.name, 1).outputs
    flat = [spec.name for spec in outputs if len(spec.shape) == 2 and spec.name == "sentence_embedding"]
    tokens = [spec.name for spec in outputs if len(spec.shape) == 3]
    if not flat and not tokens:
        raise InputError(f"{graph}: gives {', '.join(spec.name for spec in outputs)}; expected an output (N, tokens, "
                         "width), or sentence_embedding (N, width).")
    return ForeignEncoder(data, (folder / TOKENIZER).read_bytes(), (flat or tokens)[0],
                          "none" if flat else _pooling(folder), _longest(folder))


def _pooling(folder: Path) -> Pooling:
    """As the folder says, which sentence-transformers writes; else the mean."""
    stated = _settings(folder / "1_Pooling" / "config.json")
    return "first" if stated.get("pooling_mode_cls_token") and not stated.get("pooling_mode_mean_tokens") else "mean"


def _longest(folder: Path) -> int:
    stated = [_settings(folder / "sentence_bert_config.json").get("max_seq_length"),
              _settings(folder / "config.json").get("max_position_embeddings")]
    return min([_LONGEST, *(number for number in stated if isinstance(number, int) and number > 0)])


def _settings(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found = read_json(file, _LARGEST_JSON)
    return found if isinstance(found, dict) else {}
