"""`cldm measure`: attributes and scores of what a dataset holds."""

import sys
from pathlib import Path

import click

from ..errors import InputError
from ..evaluation.steps import measure_dataset
from .progress import show_progress


@click.command()
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmentation", "names", multiple=True, metavar="NAME",
              help="Measure only this segmentation; may be given several times.  [default: all]")
@click.option("--no-masks", is_flag=True, help="Do not measure the masks; keep /attributes/mask.")
@click.option("--no-images", is_flag=True, help="Do not measure attributes of the images with their label maps, such "
              "as contrast and noise level.")
@click.option("--free-from", metavar="NAME", help="Classes that were left free: what this segmentation finds stands in "
              "for attributes of the masks that depend on them. The file says so.  [default: they are NaN]")
def measure(dataset: Path, names: tuple[str, ...], no_masks: bool, no_images: bool, free_from: str | None) -> None:
    """Measure the attributes of the masks and segmentations in DATASET, and of its images with them, and score
    segmentations on the masks.

    Earlier measurements are replaced. The definitions are in docs/metrics.md.

    \b
    Examples:
      cldm measure out/samples.h5
      cldm measure cohort.h5 --segmentation lge-segmenter --no-masks
      cldm measure out/freed.h5 --free-from lge-segmenter
    """
    if free_from is not None and no_masks:
        raise InputError(f"--free-from {free_from}: is of the masks, which --no-masks leaves out. Pass one of the two.")
    with show_progress("measuring", 0, sys.stderr) as progress:
        measure_dataset(dataset, masks=not no_masks, segmentations=names or None, images=not no_images,
                        free_from=free_from, progress=progress)
    click.echo(f"{dataset}: measured.")
