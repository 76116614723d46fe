"""`cldm-train judge`, `spread`, `audit`, `utility` and `faithfulness`: what synthetic images are like next to reference
images, and what segmenters learn from them; `growth`: what volumes cost."""

from importlib import import_module
from pathlib import Path

import click
from click.core import ParameterSource

from cldm_runtime.cli.numbers import NumberRange, WholeNumber
from cldm_runtime.cli.progress import BusyLines

from ..stages.config_file import load_config

_UNSTATED = ("out", "write_card")  # options that no figure depends on
_CONFIG = click.option("--config", "config_path", required=True, type=click.Path(), metavar="FILE",
                       help="TOML file, such as trainer/configs/phantom-tiny.toml.")
_BUNDLES = click.option("--bundle", "bundles", multiple=True, type=click.Path(), metavar="DIR",
                        help="Generator to measure; may be repeated. [default: export.generator]")
_OUT = click.option("--out", default=None, type=click.Path(), metavar="DIR",
                    help="Where the page, its numbers and pictures go, and results.md: goals, and the figures of "
                         "validity, judge, spread and audit that lie there. [default: the run's folder]")


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
    with BusyLines("judge", aloud=True) as say:
        page = module.run(load_config(config_path), _command(),
                          bundles=[Path(bundle) for bundle in bundles], samples=Path(samples) if samples else None,
                          out=Path(out) if out else None, options=options, say=say)
    tell(page, out)


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
    with BusyLines("spread", aloud=True) as say:
        page = module.run(load_config(config_path), _command(),
                          bundles=[Path(bundle) for bundle in bundles], out=Path(out) if out else None,
                          sizes=module.SpreadSizes(maps, images), say=say)
    tell(page, out)


@click.command()
@_CONFIG
@click.option("--samples", default=None, type=click.Path(), metavar="FILE",
              help="Generated dataset to audit. [default: images of the exported generator for the test slices]")
@click.option("--seeds", default=1, show_default=True, type=WholeNumber(min=1), metavar="N",
              help="Images that are generated for each test slice.")
@click.option("--out", default=None, type=click.Path(), metavar="DIR",
              help="Where audit.md, audit.json and the pictures, which show training slices, go; and results.md, as of "
                   "judge. [default: the run's folder]")
@click.option("--quantile", default=0.01, show_default=True, type=NumberRange(0, 1, min_open=True, max_open=True),
              help="Quantile of the held-out slices' distances. An image nearer to the training set may be a copy.")
@click.option("--write-card", is_flag=True, help="Put the figures into the MODEL_CARD.md of the exported generator.")
def audit(config_path: str, samples: str | None, seeds: int, out: str | None, quantile: float,
          write_card: bool) -> None:
    """Test whether synthetic images can be distinguished from the cohort's, and whether they copy training slices."""
    module = import_module("cldm_trainer.audit")
    with BusyLines("audit", aloud=True) as say:
        result = module.run(load_config(config_path), _command(), samples=Path(samples) if samples else None,
                            out=Path(out) if out else None, card=write_card,
                            options=module.AuditOptions(quantile=quantile, seeds=seeds), say=say)
    tell(result.page, out)
    if result.card:
        click.echo(str(result.card))


@click.command()
@_CONFIG
@click.option("--side", "sides", multiple=True, default=(32, 48, 64, 96), show_default=True,
              type=WholeNumber(min=8), metavar="VOXELS", help="Of a cubed volume; may be repeated.")
def growth(config_path: str, sides: tuple[int, ...]) -> None:
    """Measure how time and memory of drawing a volume grow with its side: untrained networks, in torch. Then count what
    steps of training keep in memory at the size of the configuration, without computing them."""
    module, config = import_module("cldm_trainer.bench.growth"), load_config(config_path)
    click.echo("\n".join(module.as_table(module.measure_sides(config, sorted(set(sides))))))
    click.echo("\n".join(module.kept_lines(config)))


@click.command()
@_CONFIG
@click.option("--augment", is_flag=True, help="Train on few slices alone, and with generated images of the same hearts "
              "with other lesions: unfiltered and filtered, at several ratios.")
@click.option("--out", default=None, type=click.Path(), metavar="DIR",
              help="Where the page and its numbers go. [default: the run's folder]")
def utility(config_path: str, augment: bool, out: str | None) -> None:
    """Train one small segmenter on generated images, on the cohort's, and on both, and test it on the cohort's other
    patients. Continues where it was stopped.

    \b
    Examples:
      cldm-train utility --config trainer/configs/segguided-cpu.toml
      cldm-train utility --config trainer/configs/phantom2-cpu-teacher.toml --augment
    """
    config = load_config(config_path)
    cohort = import_module("cldm_trainer.results.new_patients").cohort_of_results(config)
    target = Path(out) if out else config.run_folder / "utility"
    name = "augmentation" if augment else "utility"
    with BusyLines("utility", aloud=True) as say:
        page = import_module(f"cldm_trainer.results.{name}.run").run(
            config, _command(), cohort, target, say)
    click.echo(str(page))


@click.command()
@_CONFIG
@click.option("--out", default="docs", show_default=True, type=click.Path(), metavar="DIR",
              help="Where results-segguided.md and segguided/<run>.json go. The page shows every run of that folder.")
def faithfulness(config_path: str, out: str) -> None:
    """Measure whether synthetic images show the label maps they were made from: Dice of the segmenter's label map of
    each against its label map, and against the segmenter's of the original. Continues where it was stopped."""
    config = load_config(config_path)
    cohort = import_module("cldm_trainer.results.new_patients").cohort_of_results(config)
    with BusyLines("faithfulness", aloud=True) as say:
        page = import_module("cldm_trainer.results.segguided.run").run(config, _command(), cohort, Path(out), say)
    click.echo(str(page))


def _command() -> str:
    """The command as pages state it: with every option that was given and that its figures depend on."""
    context = click.get_current_context()
    words = [f"cldm-train {context.command.name}"]
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if not given or option.name in _UNSTATED:
            continue
        value = context.params[option.name or ""]
        if option.name == "samples":
            value = Path(value).name
        values = value if option.multiple else [value]
        words += [option.opts[0]] if value is True else [f"{option.opts[0]} {each}" for each in values]
    return " ".join(words)


def tell(page: Path, out: str | None) -> None:
    """Print the page's path; with --out, also write results.md there again, from all figures in that folder."""
    results = import_module("cldm_trainer.results.page_file").write_results_page(page.parent) if out else None
    click.echo("\n".join(str(path) for path in (page, results) if path))
