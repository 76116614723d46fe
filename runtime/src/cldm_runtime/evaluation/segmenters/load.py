"""Opens a segmenter of any form by the text that names it."""

import os
import re
from pathlib import Path

from ...bundle.manifest import MANIFEST_FILE
from ...errors import InputError, checked_path
from ...segmentation.segmenter import Segmenter
from .cases import label_map_files
from .described_network import DescribedNetwork
from .description import read_description
from .interface import AnySegmenter
from .own_command import OwnCommand
from .own_function import load_function
from .predictions import PredictionsFolder

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def load_segmenter(source: str | os.PathLike[str], provider: str = "cpu", threads: int | None = None,
                   precision: str = "fp32") -> AnySegmenter:
    """A segmenter of any form.

    source: the folder of a bundle; a .toml file that describes an ONNX file, a function, a command or a folder of label
    maps (docs/segmenters.md); `module:function`; or a folder of label maps that were predicted elsewhere. provider,
    threads, precision: of networks, as in `Segmenter.load`; a described network computes in fp32.
    Raises InputError for a description that is faulty, and BundleError and ProviderError as `Segmenter.load` does.
    """
    text, path = os.fspath(source), checked_path(source, "load_segmenter")
    if path.suffix == ".toml":
        return _described(path, provider, threads)
    if path.suffix == ".onnx":
        raise InputError(f"{path}: an ONNX file alone does not say what goes in and comes out. Describe it in a .toml "
                         f"file, whose first line is onnx = \"{path.name}\", and pass that: docs/segmenters.md.")
    if not path.exists() and _FUNCTION.fullmatch(text):
        return load_function(text, Path.cwd())
    if path.is_dir() and not (path / MANIFEST_FILE).exists() and label_map_files(path):
        return load_predictions(path)
    return Segmenter.load(path, provider, threads, precision)


def load_predictions(folder: Path) -> PredictionsFolder:
    """A folder of label maps that were predicted elsewhere, under its own name. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Give the folder with the label maps, one file for each "
                         "row, such as sample00000.nii.gz.")
    return PredictionsFolder(folder.resolve().name, folder)


def _described(path: Path, provider: str, threads: int | None) -> AnySegmenter:
    description, folder = read_description(path), path.parent
    if description.onnx:
        return DescribedNetwork.load(path, provider, threads)
    if description.function:
        return load_function(description.function, folder, description.name, description.labels)
    if description.command:
        return OwnCommand(description.name, description.command, folder.absolute(), labels=description.labels)
    return PredictionsFolder(description.name, folder / description.predictions, labels=description.labels)
