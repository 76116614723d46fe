"""`cldm segment`: let a segmenter segment the images of a dataset, or draw label maps of given cases."""

import sys
from pathlib import Path

import click

from ..errors import InputError
from ..evaluation.segmenters.interface import AnySegmenter
from ..evaluation.steps import segment_dataset
from ..generation.ensemble import SAMPLES, EnsembleSegmenter
from ..segmentation.segmenter import BATCH_SIZE
from .audited import AuditedCommand, note_dataset
from .numbers import WholeNumber
from .progress import show_progress
from .provider import precision_option, provider_option
from .run_log import note
from .sections import SectionedCommand
from .segment_cases import segment_cases
from .segmenter_forms import FORMS_HELP, bundles_of, load_any_segmenter, say_segmenter

_DRAWING = ("samples", "seed", "steps", "keep_samples", "out")
_SECTIONS = {
    "Most needed": ("source", "bundle_folder", "overwrite", *_DRAWING),
    "Machine": ("provider", "precision", "batch_size", "mirror", "threads"),
}


class _Segment(SectionedCommand, AuditedCommand):
    pass


@click.command(cls=_Segment, sections=_SECTIONS)
@click.argument("images", metavar="DATASET|CASES", type=click.Path(path_type=Path))
@click.option("--segmenter", "source", metavar="SEGMENTER", help=FORMS_HELP)
@click.option("--bundle", "bundle_folder", metavar="DIR", type=click.Path(path_type=Path),
              help="Instead of --segmenter: a bundle that draws label maps of images (cldm inspect). It draws several "
                   "of each image; their mean decides, their variance shows the doubt.")
@click.option("--samples", type=WholeNumber(min=1), metavar="K", help="With --bundle: label maps drawn of each image.  "
              f"[default: {SAMPLES}]")
@click.option("--seed", type=WholeNumber(0, 2**63 - 1), metavar="S", help="With --bundle: seed of the noise.  "
              "[default: 0]")
@click.option("--steps", type=WholeNumber(min=1), metavar="T", help="With --bundle: sampling steps.  "
              "[default: from bundle]")
@click.option("--keep-samples", is_flag=True, help="With --bundle: keep the label maps that were drawn in the dataset, "
              "for the report.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="With a folder of cases: where their "
              "dataset and NIfTI files go.  [default: CASES-segmented]")
@provider_option
@precision_option
@click.option("--batch-size", type=WholeNumber(min=1), metavar="B", default=BATCH_SIZE, show_default=True,
              help="Slices, or drawn label maps, computed at once.")
@click.option("--mirror/--no-mirror", default=None, help="Average over mirrored copies.  [default: from bundle]")
@click.option("--threads", type=WholeNumber(min=1), metavar="N",
              help="Threads of one operator.  [default: all cores]")
@click.option("--overwrite", is_flag=True, help="Replace an earlier segmentation by this segmenter.")
def segment(images: Path, source: str | None, bundle_folder: Path | None, samples: int | None, seed: int | None,
            steps: int | None, keep_samples: bool, out: Path | None, provider: str, precision: str, batch_size: int,
            mirror: bool | None, threads: int | None, overwrite: bool) -> None:
    """Segment every image of DATASET. The label maps are added to the file under /segmentations.

    The file is replaced only when everything is done. With --bundle, a folder of CASES may be given instead of a
    dataset, in the layout of BraTS: a dataset is made of them, and NIfTI files of label maps and variance with the
    affine of the input.

    \b
    Examples:
      cldm segment out/samples.h5 --segmenter exported/lge-segmenter
      cldm segment cohort.h5 --bundle exported/ldm-seg --samples 30
      cldm segment cases/ --bundle exported/ldm-seg --out segmented
    """
    if (source is None) == (bundle_folder is None):
        raise InputError("expected either --segmenter SEGMENTER or --bundle DIR.")
    if bundle_folder is None:
        given = {"--samples": samples, "--seed": seed, "--steps": steps, "--keep-samples": keep_samples or None,
                 "--out": out}
        if unused := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{', '.join(unused)}: only with --bundle, for segmenters that draw label maps.")
        assert source is not None
        _segment(images, load_any_segmenter(source, provider, threads, precision), batch_size, mirror, overwrite)
        return
    drawing = EnsembleSegmenter.load(bundle_folder, provider, threads, precision, steps=steps, seed=seed or 0,
                                     samples=SAMPLES if samples is None else samples, keep_samples=keep_samples)
    if images.is_dir():
        with show_progress("reading cases", 0, sys.stderr) as progress:
            dataset = segment_cases(images, drawing, out, overwrite, progress)
        _segment(dataset.file, drawing, batch_size, mirror, overwrite)
        click.echo(f"{dataset.write()}: label maps and variance of {len(dataset.cases)} cases as NIfTI.")
        return
    if out is not None:
        raise InputError(f"--out {out}: {images} is a dataset, which gets the label maps. Leave --out out.")
    _segment(images, drawing, batch_size, mirror, overwrite)


def _segment(dataset: Path, segmenter: AnySegmenter, batch_size: int, mirror: bool | None, overwrite: bool) -> None:
    say_segmenter(dataset, segmenter)
    samples = note_dataset(dataset, bundles_of(segmenter), dataset)
    with show_progress("segmenting", 0, sys.stderr) as progress:
        segment_dataset(dataset, segmenter, batch_size=batch_size, mirror=mirror, overwrite=overwrite,
                        progress=progress)
    note(made=samples)
    click.echo(f"{dataset}: segmented by {segmenter.name}.")
