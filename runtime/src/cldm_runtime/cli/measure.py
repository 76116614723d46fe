"""`cldm measure`: attributes and scores of what a dataset holds."""

import sys
from pathlib import Path

import click

from ..evaluation.steps import measure_dataset
from .progress import show_progress


@click.command()
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmentation", "names", multiple=True, metavar="NAME",
              help="Measure only this segmentation; may be given several times.  [default: all]")
@click.option("--no-masks", is_flag=True, help="Do not measure the masks; keep /attributes/mask.")
@click.option("--no-images", is_flag=True, help="Do not measure attributes of the images with their label maps, such "
              "as contrast and noise level.")
def measure(dataset: Path, names: tuple[str, ...], no_masks: bool, no_images: bool) -> None:
    """Measure the attributes of the masks and segmentations in DATASET, and of its images with them, and score
    segmentations on the masks.

    Earlier measurements are replaced. The definitions are in docs/metrics.md.

    \b
    Examples:
      cldm measure out/samples.h5
      cldm measure cohort.h5 --segmentation lge-segmenter --no-masks
    """
    with show_progress("measuring", 0, sys.stderr) as progress:
        measure_dataset(dataset, masks=not no_masks, segmentations=names or None, images=not no_images,
                        progress=progress)
    click.echo(f"{dataset}: measured.")
