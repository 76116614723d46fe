"""`cldm segmenter`: what concerns segmenters of the user's own."""

from pathlib import Path

import click

from ..errors import InputError
from ..evaluation.checking import SHOWN, check_segmenter
from ..files.atomic import write_bytes
from ..report.segmenter_sheet import segmenter_sheet
from ..store import open_dataset
from .numbers import WholeNumber
from .provider import provider_option
from .segmenter_forms import load_any_segmenter, say_segmenter


@click.group()
def segmenter() -> None:
    """Look at a segmenter of your own before you evaluate it."""


@segmenter.command()
@click.argument("source", metavar="SEGMENTER")
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", default="segmenter-check.png",
              show_default=True, help="PNG file.")
@click.option("--n", "count", type=WholeNumber(min=1), metavar="N", default=SHOWN, show_default=True,
              help="Number of images, evenly spread over DATASET.")
@provider_option
def check(source: str, dataset: Path, out: Path, count: int, provider: str) -> None:
    """Segment ten images of DATASET and draw them with the contours that SEGMENTER finds, those of the reference, and
    the frame that its network sees. DATASET stays as it is.

    A wrong description shows at once: contours beside the organ, labels in wrong colours, a frame that is empty, turned
    or cut off. SEGMENTER is of any form that cldm evaluate takes.

    \b
    Example:
      cldm segmenter check my_network.toml out/samples.h5
    """
    loaded = load_any_segmenter(source, provider)
    say_segmenter(dataset, loaded)
    with open_dataset(dataset) as opened:
        found = check_segmenter(opened, loaded, count)
        picture = segmenter_sheet(opened, opened.load_domain(), found)
    try:
        write_bytes(out, picture)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}). Choose another file.") from error
    click.echo(f"{loaded.name} ({loaded.origin}) on {len(found.rows)} images of {dataset}")
    for line in found.lines:
        click.echo(line)
    click.echo(f"{out}: look at it.")
