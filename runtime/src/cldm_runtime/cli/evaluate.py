"""`cldm evaluate`: segment, measure and report in one go."""

import sys
from pathlib import Path

import click

from ..bundle.bundle import Bundle
from ..bundle.manifest import MANIFEST_FILE
from ..engines.engine import AUTO
from ..errors import InputError
from ..evaluation.run import Evaluation, evaluate_dataset
from ..evaluation.segmenters.interface import AnySegmenter
from ..evaluation.segmenters.load import load_predictions
from ..report.comparison_page import write_comparison
from ..report.page import check_report, write_report
from ..runs.run import plan_under_way
from ..segmentation.segmenter import BATCH_SIZE
from .audited import AuditedCommand, note_dataset
from .numbers import WholeNumber
from .progress import BusyLines, show_progress
from .provider import provider_option
from .report import echo_comparison, echo_files
from .run_log import note
from .scaling import SCALING_NAMES, Scaling, scaling_options, share_out
from .sections import SectionedCommand
from .segmenter_forms import FORMS_HELP, bundles_of, load_any_segmenter, say_segmenter

_SECTIONS = {
    "Most needed": ("sources", "predictions", "out", "subset", "overwrite"),
    "Machine": ("provider", "batch_size", "mirror", "threads", "workers"),
    "Runs on many machines": SCALING_NAMES,
}


class _Evaluate(SectionedCommand, AuditedCommand):
    pass


@click.command(cls=_Evaluate, sections=_SECTIONS)
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmenter", "sources", multiple=True, metavar="SEGMENTER", help=f"{FORMS_HELP} Several are compared.")
@click.option("--predictions", multiple=True, type=click.Path(path_type=Path), metavar="FOLDER",
              help="Label maps that were predicted elsewhere, one file for each sample, named as `cldm convert` names "
                   "them; as a segmenter with the name of the folder.")
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
def evaluate(dataset: Path, sources: tuple[str, ...], predictions: tuple[Path, ...], out: Path | None,
             subset: str | None, provider: str, batch_size: int, mirror: bool | None, threads: int | None,
             workers: int | None, scaling: Scaling, overwrite: bool, as_json: bool) -> None:
    """Segment the images of DATASET, measure the result, and write report.html, scores.csv and scores.json.

    An earlier segmentation by the same bundle is used again, and so are the finished parts of a stopped run. Existing
    reports are replaced. With several segmenters, each report is in a folder of the segmenter's name, and
    comparison.html, .csv and .json say which is better, by how much, and where. Machines that share a folder can share
    a run: --shard, --shards or --engine; then cldm run merge puts the parts together and writes the report.

    \b
    Examples:
      cldm evaluate out/samples.h5 --segmenter exported/lge-segmenter --out out
      cldm evaluate cohort.h5 --segmenter exported/lge-segmenter --subset test --json
      cldm evaluate out/samples.h5 --segmenter exported/lge-segmenter --segmenter my_network.toml --out out
      cldm evaluate out/samples.h5 --segmenter my_module:segment
      cldm evaluate out/samples.h5 --predictions out/predicted
      cldm evaluate /shared/big.h5 --segmenter exported/lge-segmenter --shard 3/16
      cldm run merge evaluate /shared/big.h5 --segmenter exported/lge-segmenter
    """
    scaling.check({})
    folder = out or dataset.parent
    check_report(dataset, folder, subset)
    segmenters = _loaded(dataset, sources, predictions, provider, threads, scaling)
    samples = 0
    for segmenter in segmenters:
        samples = note_dataset(dataset, bundles_of(segmenter), folder)
        count = workers or (segmenter.default_workers if threads is None else 1)
        if scaling.given:
            run = Evaluation(dataset, segmenter, batch_size, mirror, overwrite)
            if not share_out(run, scaling, "evaluate", count, as_json):
                return
        else:
            evaluate_dataset(dataset, segmenter, batch_size=batch_size, mirror=mirror, overwrite=overwrite,
                             stage=lambda label: show_progress(label, 0, sys.stderr), workers=count)
    note(made=samples)
    _report(dataset, [segmenter.name for segmenter in segmenters], folder, subset, as_json)


def _loaded(dataset: Path, sources: tuple[str, ...], predictions: tuple[Path, ...], provider: str,
            threads: int | None, scaling: Scaling) -> list[AnySegmenter]:
    """All segmenters, opened and checked before the first one begins. Raises InputError."""
    count = len(sources) + len(predictions)
    if not count:
        raise InputError("found no segmenter. Pass --segmenter SEGMENTER, or --predictions FOLDER for label maps that "
                         "were predicted elsewhere.")
    if scaling.given and count > 1:
        raise InputError(f"{count} segmenters are given, but machines share the run of one. Repeat the command "
                         "for each, and compare at the end: cldm report with --segmentation NAME for each.")
    segmenters = [load_any_segmenter(source, _provider(dataset, source, provider), threads) for source in sources]
    segmenters += [load_predictions(folder) for folder in predictions]
    names = [segmenter.name for segmenter in segmenters]
    if len(set(names)) < len(names):
        raise InputError(f"{dataset}: the segmenters have the names {', '.join(names)}, expected different ones. "
                         "Change name in the description of one; the name of a bundle is in its manifest, that of "
                         "label maps is their folder's.")
    for segmenter in segmenters:
        say_segmenter(dataset, segmenter)
    return segmenters


def _report(dataset: Path, names: list[str], folder: Path, subset: str | None, as_json: bool) -> None:
    with BusyLines("report") as say:
        if len(names) == 1:
            reports = [write_report(dataset, names[0], folder, subset=subset, say=say)]
        else:
            reports = [write_report(dataset, name, folder / name, subset=subset, say=say) for name in names]
            compared = write_comparison(dataset, names, folder, subset=subset, say=say)
    if len(names) == 1:
        echo_files(reports[0], as_json)
        return
    for text in dict.fromkeys(text for report in reports for text in report.notes if text not in compared.notes):
        click.echo(f"note: {text}", err=True)
    echo_comparison(compared, as_json)


def _provider(dataset: Path, source: str, provider: str) -> str:
    """The requested provider; a resumed run of a bundle keeps what auto chose at its start."""
    if provider != AUTO or not (Path(source) / MANIFEST_FILE).exists():
        return provider
    stem = f"{dataset.name}.{Bundle.load(source).manifest.name}"
    return str(plan_under_way(dataset.with_name(f"{stem}.parts")).get("provider", provider))
