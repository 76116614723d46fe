"""`cldm-train judge` and `cldm-train spread`: what synthetic images are like next to reference images."""

from importlib import import_module
from pathlib import Path

import click

from cldm_runtime.cli.numbers import WholeNumber

from ..stages.config_file import load_config

_CONFIG = click.option("--config", "config_path", required=True, type=click.Path(), metavar="FILE",
                       help="TOML file, such as trainer/configs/phantom-tiny.toml.")
_BUNDLES = click.option("--bundle", "bundles", multiple=True, type=click.Path(), metavar="DIR",
                        help="Generator to measure; may be repeated. [default: export.generator]")
_OUT = click.option("--out", default=None, type=click.Path(), metavar="DIR",
                    help="Where the page, its numbers and pictures go. A results.md there gets them as a section. "
                         "[default: the run's folder]")


@click.command()
@_CONFIG
@_BUNDLES
@click.option("--samples", default=None, type=click.Path(), metavar="FILE",
              help="Generated dataset to judge, instead of bundles. [default: images are generated]")
@click.option("--pairs", default=600, show_default=True, type=WholeNumber(min=8), metavar="N",
              help="Reference and synthetic images of the same label maps, at most.")
@click.option("--folds", default=2, show_default=True, type=WholeNumber(min=2), metavar="K",
              help="Parts of the patients; a judge learns from all but one.")
@click.option("--seeds", default=3, show_default=True, type=WholeNumber(min=1), metavar="N",
              help="How often each judge learns, with other folds.")
@click.option("--steps", default=300, show_default=True, type=WholeNumber(min=1), metavar="N",
              help="Training steps of the judges that are networks.")
@click.option("--as-stored", is_flag=True,
              help="Judge images as they are stored. [default: percentiles of both sides are levelled first]")
@_OUT
def judge(config_path: str, bundles: tuple[str, ...], samples: str | None, pairs: int, folds: int, seeds: int,
          steps: int, as_stored: bool, out: str | None) -> None:
    """Measure how surely a panel of judges distinguishes synthetic from reference images."""
    module = import_module("cldm_trainer.audit.judging")
    panel = import_module("cldm_trainer.audit.judges.panel").PanelOptions(folds=folds, seeds=seeds)
    options = module.JudgingOptions(pairs=pairs, steps=steps, levelled=not as_stored, panel=panel)
    page = module.run(load_config(config_path), _command("judge", config_path, bundles, samples),
                      bundles=[Path(bundle) for bundle in bundles], samples=Path(samples) if samples else None,
                      out=Path(out) if out else None, options=options, say=_say)
    _tell(page)


@click.command()
@_CONFIG
@_BUNDLES
@click.option("--maps", default=20, show_default=True, type=WholeNumber(min=2), metavar="K",
              help="Label maps, each of another fresh patient of the phantom.")
@click.option("--images", default=16, show_default=True, type=WholeNumber(min=2), metavar="R",
              help="Images of each label map.")
@_OUT
def spread(config_path: str, bundles: tuple[str, ...], maps: int, images: int, out: str | None) -> None:
    """Measure how much synthetic images vary, next to what is true of the same label maps.

    The truth is the phantom, which renders each label map again and again. A cohort of your own has no such truth: its
    slices are compared in bins of each attribute, one synthetic image of each.
    """
    module = import_module("cldm_trainer.audit.conditional_spread")
    page = module.run(load_config(config_path), _command("spread", config_path, bundles, None),
                      bundles=[Path(bundle) for bundle in bundles], out=Path(out) if out else None,
                      sizes=module.SpreadSizes(maps, images), say=_say)
    _tell(page)


def _command(name: str, config_path: str, bundles: tuple[str, ...], samples: str | None) -> str:
    """The command as pages state it."""
    options = [f"--bundle {bundle}" for bundle in bundles] + ([f"--samples {Path(samples).name}"] if samples else [])
    return " ".join([f"cldm-train {name} --config {config_path}", *options])


def _tell(page: Path) -> None:
    """Print the page's path; the results page of the same folder, if there is one, gets the figures too."""
    results = import_module("cldm_trainer.results.page_file").write_results_page(page.parent)
    click.echo("\n".join(str(path) for path in (page, results) if path))


def _say(text: str) -> None:
    click.echo(text, err=True)
