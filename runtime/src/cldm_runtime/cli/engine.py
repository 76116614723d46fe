"""`cldm engine`: TensorRT engines of this machine."""

from pathlib import Path

import click

from ..bundle.bundle import Bundle
from ..engines.engine import OFFERED
from ..engines.open import build_engines
from .numbers import WholeNumber
from .progress import BusyLines


@click.group()
def engine() -> None:
    """TensorRT engines, which are compiled on the machine that runs them and kept in this user's cache folder."""


@engine.command()
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--batch-size", "batches", type=WholeNumber(min=1), metavar="B", multiple=True, default=(1, 64),
              show_default=True, help="Batch size; may be given several times. Each needs its own engine.")
@click.option("--precision", type=click.Choice(OFFERED["tensorrt"]), default="fp32", show_default=True,
              help="Precision of what the graph computes in fp32. A bundle in fp16 keeps fp16.")
def build(bundle: Path, batches: tuple[int, ...], precision: str) -> None:
    """Build the engines of BUNDLE for --provider tensorrt, and test them against its reference.

    Otherwise each is built when it is first needed, which takes minutes. Existing engines are only tested.
    Needs an NVIDIA GPU, tensorrt, and torch built for CUDA.

    \b
    Examples:
      cldm engine build exported/lge
      cldm engine build exported/lge --batch-size 64 --batch-size 512
    """
    with BusyLines(f"engines of {bundle.name}", aloud=True) as say:
        paths = build_engines(Bundle.load(bundle), batches, say, precision)
    for path in paths:
        click.echo(str(path))
