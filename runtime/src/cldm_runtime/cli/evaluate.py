"""`cldm evaluate`: segment, measure and report in one go."""

import sys
from pathlib import Path

import click

from ..bundle.bundle import Bundle
from ..engines.engine import AUTO
from ..engines.processor import default_workers
from ..evaluation.run import Evaluation, evaluate_dataset
from ..report.page import check_report, write_report
from ..runs.run import plan_under_way
from ..segmentation.segmenter import BATCH_SIZE, Segmenter
from .audited import AuditedCommand, note_dataset
from .numbers import WholeNumber
from .progress import show_progress
from .provider import provider_option, say_choice
from .report import echo_files
from .run_log import note
from .scaling import SCALING_NAMES, Scaling, scaling_options, share_out
from .sections import SectionedCommand

_SECTIONS = {
    "Most needed": ("bundle", "out", "subset", "overwrite"),
    "Machine": ("provider", "batch_size", "mirror", "threads", "workers"),
    "Runs on many machines": SCALING_NAMES,
}


class _Evaluate(SectionedCommand, AuditedCommand):
    pass


@click.command(cls=_Evaluate, sections=_SECTIONS)
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmenter", "bundle", required=True, metavar="DIR", type=click.Path(path_type=Path),
              help="Segmenter bundle.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: that of DATASET]")
@click.option("--subset", metavar="NAME", help="Report only on this subset, for example test.  [default: all samples]")
@provider_option
@click.option("--batch-size", type=WholeNumber(min=1), metavar="B", default=BATCH_SIZE, show_default=True,
              help="Slices computed at once.")
@click.option("--mirror/--no-mirror", default=None, help="Average over mirrored copies.  [default: from bundle]")
@click.option("--threads", type=WholeNumber(min=1), metavar="N",
              help="Threads of one operator; then in one process.  [default: see --workers]")
@click.option("--workers", type=WholeNumber(min=1), metavar="W",
              help="Processes that segment and measure, each on one core. The file is the same for any number.  "
                   "[default: the available cores, or 1 with --threads; at most 12 on a GPU]")
@scaling_options
@click.option("--overwrite", is_flag=True, help="Segment again, even if the file holds a segmentation by this bundle.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary (scores.json) instead of the file names.")
def evaluate(dataset: Path, bundle: Path, out: Path | None, subset: str | None, provider: str, batch_size: int,
             mirror: bool | None, threads: int | None, workers: int | None, scaling: Scaling, overwrite: bool,
             as_json: bool) -> None:
    """Segment the images of DATASET, measure the result, and write report.html, scores.csv and scores.json.

    An earlier segmentation by the same bundle is used again, and so are the finished parts of a stopped run. Existing
    reports are replaced. Machines that share a folder can share a run: --shard, --shards or --engine; then cldm run
    merge puts the parts together and writes the report.

    \b
    Examples:
      cldm evaluate out/samples.h5 --segmenter exported/lge-segmenter --out out
      cldm evaluate cohort.h5 --segmenter exported/lge-segmenter --subset test --json
      cldm evaluate /shared/big.h5 --segmenter exported/lge-segmenter --shard 3/16
      cldm run merge evaluate /shared/big.h5 --segmenter exported/lge-segmenter
    """
    scaling.check({})
    folder = out or dataset.parent
    check_report(dataset, folder, subset)
    segmenter = Segmenter.load(bundle, _provider(dataset, bundle, provider), threads)
    say_choice(segmenter.choice)
    workers = workers or (default_workers(segmenter.choice.provider) if threads is None else 1)
    samples = note_dataset(dataset, segmenter.bundle, folder)
    run = Evaluation(dataset, segmenter, batch_size, mirror, overwrite)
    if scaling.given and not share_out(run, scaling, "evaluate", workers, as_json):
        return
    if not scaling.given:
        evaluate_dataset(dataset, segmenter, batch_size=batch_size, mirror=mirror, overwrite=overwrite,
                         stage=lambda label: show_progress(label, 0, sys.stderr), workers=workers)
    files = write_report(dataset, segmenter.name, folder, subset=subset)
    note(made=samples)
    echo_files(files, as_json)


def _provider(dataset: Path, bundle: Path, provider: str) -> str:
    """The requested provider; a resumed run keeps what auto chose at its start."""
    if provider != AUTO:
        return provider
    stem = f"{dataset.name}.{Bundle.load(bundle).manifest.name}"
    return str(plan_under_way(dataset.with_name(f"{stem}.parts")).get("provider", provider))
