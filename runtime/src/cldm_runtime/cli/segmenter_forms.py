"""What commands say about the forms of segmenters."""

from pathlib import Path

import click

from ..bundle.bundle import Bundle
from ..bundle.manifest import MANIFEST_FILE
from ..evaluation.segmenters.interface import AnySegmenter
from ..evaluation.segmenters.load import load_segmenter
from ..generation.ensemble import EnsembleSegmenter, draws_labels_of_images
from ..segmentation.bundled import BundledSegmenter
from ..store import open_dataset
from .provider import say_choice

FORMS_HELP = ("Bundle, of a segmenter or one that draws label maps of images; a .toml file that describes an ONNX "
              "file, a command, a function or a folder of label maps; module:function; or a folder of label maps, "
              "sample00000.nii.gz for the first row.")


def load_any_segmenter(source: str, provider: str = "cpu", threads: int | None = None,
                       precision: str = "fp32") -> AnySegmenter:
    """A segmenter of any form, as `load_segmenter` opens them, or a bundle that draws label maps of given images."""
    if (Path(source) / MANIFEST_FILE).is_file() and draws_labels_of_images(Bundle.load(Path(source))):
        return EnsembleSegmenter.load(source, provider, threads, precision)
    return load_segmenter(source, provider, threads, precision)


def bundles_of(segmenter: AnySegmenter) -> list[Bundle]:
    """For the audit log, which knows other forms by the arguments of the command alone."""
    return [segmenter.bundle] if isinstance(segmenter, BundledSegmenter) else []


def say_segmenter(dataset: Path, segmenter: AnySegmenter) -> None:
    """On stderr: what auto chose, and the regions that a segmenter has no label for. Raises InputError for one that
    does not fit the dataset."""
    if isinstance(segmenter, BundledSegmenter):
        say_choice(segmenter.choice)
    with open_dataset(dataset) as opened:
        segmenter.check_fit(opened)
        lacks = segmenter.lacking_regions(opened)
    if lacks:
        click.echo(f"note: {segmenter.name} has no label for {', '.join(lacks)}, which it never finds: figures on that "
                   "mean nothing.", err=True)
