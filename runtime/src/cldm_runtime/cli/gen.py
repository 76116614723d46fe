"""`cldm gen`, also installed as `cldm-gen`."""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click

from ..bundle.bundle import Bundle
from ..bundle.manifest import SamplingSpec
from ..bundle.obedience import read_obedience, weakness
from ..diffusion.samplers import SAMPLERS
from ..diffusion.schedule import SPACINGS, Spacing
from ..domains.free_classes import split_names
from ..engines.choose import Choice, choose_provider
from ..engines.engine import AUTO, CPU_PROVIDERS
from ..engines.processor import default_workers
from ..errors import InputError
from ..generation.batch_size import best_batch_size
from ..generation.generator import Generator
from ..generation.given_files import check_pairs, is_of_files, maps_of_files
from ..generation.plan import Plan
from ..generation.repair import repair_dataset
from ..generation.run import (
    Existing,
    Generation,
    batch_size_under_way,
    check_file,
    check_output,
    generate_dataset,
    is_finished,
    provider_under_way,
)
from ..requests.free_classes import keeping
from ..requests.grid import read_grid
from ..requests.infeasible import POLICIES, settle
from ..requests.moved_maps import MaskGridRequests
from ..requests.repeats import conditions_of, repeated
from ..requests.sources import FreeRequests, RequestSource, read_masks
from ..version import __version__
from . import run_log as audit_log
from .anatomy import ANATOMIES, anatomy_bundle
from .audited import AuditedCommand
from .edits import EDIT_NAMES, EditOptions, edit_options
from .generated import say_made, say_merged
from .keeping import KEEP_NAMES, KeepOptions, keep_options
from .likeness import LIKE_NAMES, LikeOptions, like_options
from .numbers import Number, WholeNumber
from .options import bundle_option, load_generator_bundle, parse_batch_size
from .progress import show_progress
from .prompts import prompted_requests
from .provider import precision_option, provider_option, say_choice
from .scaling import SCALING_NAMES, Scaling, scaling_options, share_out
from .sections import SectionedCommand
from .words import WORDS_NAMES, WordsOption, words_options

EXAMPLES = """\b
Examples:
  cldm-gen --n 256 --attributes examples/grid.csv --out out/samples.h5
  cldm-gen --n 64 --prompt "small subendocardial scar, basal level"
  cldm-gen --n 100 --masks cohort.h5 --steps 20 --seed 7
  cldm-gen --n 640 --masks cohort.h5 --subset d8 --attributes examples/rotations.csv
  cldm-gen --n 256 --attributes grid.csv --anatomy learned
  cldm-gen --n 256 --like cohort.h5 --similarity 0.5 --from-step 240 --bundle exported/lge-teacher
  cldm-gen --n 100 --masks cohort.h5 --keep-classes lv_cavity,healthy_myocardium --bundle out/segguided/lge
  cldm-gen --n 64 --like cohort.h5 --subset test --edit scar --attributes edits.csv --pairs
  cldm-gen --n 256 --attributes grid.csv --infeasible skip
  cldm-gen --n 256 --attributes grid.csv --keep-if "infarct_dice >= 0.7" --tries 8
  cldm-gen --n 512 --per-condition 8 --attributes examples/grid.csv --out out/repeated.h5
  cldm-gen --n 100000 --attributes grid.csv --out big.h5 --resume
  cldm-gen --n 100000 --attributes grid.csv --out /shared/big.h5 --shard 3/16
  cldm run merge --n 100000 --attributes grid.csv --out /shared/big.h5
  cldm-gen --n 256 --attributes examples/grid.csv --dry-run --json
"""


# The ten options that most people need first; the rest by topic.
_SECTIONS = {
    "Most needed": ("samples", "grid_file", "masks_file", "out", "bundle_folder", "seed", "steps", "dry_run", "resume",
                    "overwrite"),
    "Sampling": ("prompt", *WORDS_NAMES, "sampler", "spacing", "guidance", "guidance_interval", "per_condition",
                 "subset", "keep_classes", "infeasible", "anatomy", "anatomy_folder", *LIKE_NAMES, *EDIT_NAMES,
                 *KEEP_NAMES),
    "Machine": ("provider", "precision", "batch_size", "workers"),
    "Runs on many machines": (*SCALING_NAMES, "repair"),
}


class _Gen(SectionedCommand, AuditedCommand):
    pass


@click.command(cls=_Gen, sections=_SECTIONS, epilog=EXAMPLES,
               context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--n", "samples", type=WholeNumber(min=1), required=True, metavar="N", help="Number of images.")
@click.option("--attributes", "grid_file", type=click.Path(path_type=Path), metavar="CSV",
              help="Grid of attributes (fractions 0..1), one grid point a row. If the bundle needs label maps (see "
                   "cldm inspect), one is drawn for each image. With --masks the columns are rotation_deg and "
                   "widening_mm; with --edit scar they are operation, the attributes, angle_deg, aha_segment, "
                   "rv_insertion_deg and layer.")
@click.option("--prompt", metavar="TEXT", help="One request in words, in place of a grid: size, layer and level of a "
              "scar, such as \"small subendocardial scar, basal level\". A grid may have a column prompt.")
@click.option("--masks", "masks_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Use your own label maps: a dataset (.h5), an array (.npy), a picture or scan of one map, or a "
                   "folder of these. Sample i uses map i mod M; if the bundle takes attributes, it uses those of the "
                   "map. With --attributes, every map is combined with every row of the grid.")
@click.option("--subset", default="", metavar="NAME", help="Use only this /subset of the dataset of --masks, "
              "and of that of --like, such as test. (d8 of the phantom imitates patients eight days after infarction.)")
@click.option("--keep-classes", metavar="A,B", help="Only these classes of the label maps count; the images may show "
              "any others or none. Needs a bundle that was trained so.  [default: all]")
@click.option("--infeasible", type=click.Choice(POLICIES), default=POLICIES[0], show_default=True,
              help="What to do with rows that no anatomy can meet. error: list them and write nothing. skip: leave "
                   "them out. nearest: move them to values nearby that can be met.")
@click.option("--anatomy", type=click.Choice(ANATOMIES), default=ANATOMIES[0], show_default=True,
              help="How label maps are drawn for attributes: by the domain's own model, or by an anatomy bundle that "
                   "learned from a cohort. A domain without a model of its own takes the bundle, where it is there.")
@click.option("--anatomy-bundle", "anatomy_folder", type=click.Path(path_type=Path), metavar="DIR",
              envvar="CLDM_ANATOMY", show_envvar=True, help="Bundle for --anatomy learned.  [default: "
              "<domain>-anatomy next to the generator bundle]")
@words_options
@like_options
@edit_options
@keep_options
@click.option("--per-condition", type=WholeNumber(min=1), default=1, show_default=True, metavar="K",
              help="Images of each condition (label map, attributes, grid row). They differ only in their noise.")
@bundle_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("samples.h5"), show_default=True, metavar="FILE",
              help="Dataset file to write.")
@click.option("--seed", type=WholeNumber(0, 2**63 - 1), default=0, show_default=True, metavar="S",
              help="Seed of all randomness.")
@click.option("--steps", type=WholeNumber(min=1), metavar="K", help="Sampling steps.  [default: from bundle]")
@click.option("--sampler", type=click.Choice(list(SAMPLERS)), help="Sampling method.  [default: from bundle]")
@click.option("--spacing", type=click.Choice(list(SPACINGS)), help="Which training steps are visited: evenly spaced "
              "steps (trailing, leading, linspace), or evenly spaced noise.  [default: from bundle]")
@click.option("--guidance", type=Number(), metavar="W",
              help="Weight of classifier-free guidance (1: none). The bundle must have a null condition.  "
                   "[default: from bundle]")
@click.option("--guidance-interval", type=Number(), nargs=2, metavar="LOW HIGH",
              help="Where guidance acts, in shares of the training timesteps (0 clean, 1 noise).  "
                   "[default: from bundle]")
@click.option("--batch-size", callback=parse_batch_size, metavar="B|auto",
              help="Images computed at once. auto: the fastest here; it is measured once (2 s) and remembered in "
                   "$CLDM_CACHE or ~/.cache/cldm. Files are equal bit for bit only for equal sizes.  "
                   "[default: from bundle]")
@click.option("--workers", type=WholeNumber(min=1), metavar="W",
              help="Processes that generate, each on one core. The file is the same for any number.  [default: the "
                   "available cores; at most 12 on a GPU]")
@provider_option
@precision_option
@click.option("--dry-run", is_flag=True, help="Check everything and print the resolved plan. Write nothing.")
@click.option("--resume", is_flag=True, help="Continue a run that was stopped.")
@scaling_options
@click.option("--repair", is_flag=True, help="As cldm run repair.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file or unfinished run.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan or the result as JSON.")
@click.version_option(__version__, package_name="cldm-runtime")
def gen(samples: int, grid_file: Path | None, prompt: str | None, masks_file: Path | None, subset: str,
        keep_classes: str | None, infeasible: str, anatomy: str, anatomy_folder: Path | None, words: WordsOption,
        like: LikeOptions, edits: EditOptions, keep: KeepOptions, per_condition: int, bundle_folder: Path, out: Path,
        seed: int, steps: int | None, sampler: str | None, spacing: Spacing | None, guidance: float | None,
        guidance_interval: tuple[float, float] | None, batch_size: int | Literal["auto"] | None, workers: int | None,
        provider: str, precision: str, dry_run: bool, resume: bool, scaling: Scaling, repair: bool, overwrite: bool,
        as_json: bool) -> None:
    """Generate N images into one HDF5 dataset, with the requested attributes and the label maps, if there are any.

    The same command gives the same file, bit for bit, for any --workers, also after it was stopped and resumed.
    Exit codes: 0 done, 2 usage or input, 3 bundle, 4 dataset, 5 provider, 6 a worker was killed, 130 interrupted. After
    the last two, --resume continues.
    """
    scaling.check({"--resume": resume, "--overwrite": overwrite, "--repair": repair})
    existing: Existing = "resume" if resume else "overwrite" if overwrite else "refuse"
    bundle = load_generator_bundle(bundle_folder)
    learned = anatomy_bundle(bundle, anatomy, anatomy_folder, grid_file, masks_file)
    choice = say_choice(_choice(bundle, provider, precision, out, existing))
    generator = Generator(bundle, choice, 1 if choice.provider in CPU_PROVIDERS else None, anatomy=learned)
    generator.domain = words.added_to(generator.domain, bundle)
    settings = generator.settings(sampler=sampler, steps=steps, spacing=spacing, guidance=guidance,
                                  batch_size=None if batch_size == "auto" else batch_size,
                                  guidance_interval=guidance_interval)
    if batch_size == "auto":
        settings = _with_best_batch_size(generator, settings, out, resume)
    edits.check(per_condition, prompt, keep_classes)
    conditions = edits.conditions(conditions_of(samples, per_condition))
    if edits.edit:
        source = edits.source(generator, conditions, grid_file, masks_file, subset, infeasible, seed, like, prompt)
    else:
        masks_file = like.masks_file(masks_file, grid_file, generator)
        source = _requests(generator, conditions, grid_file, masks_file, subset, infeasible, like, prompt, edits)
        source = keeping(source, split_names(keep_classes), bundle, generator.domain)
        source = like.applied(source, generator, settings, subset)
    source = edits.paired(repeated(source, per_condition), generator.canvas, settings.batch_size)
    plan = Plan(generator, source, samples, seed, settings, keep.filter_for(generator))
    audit_log.note(bundle, *filter(None, [learned]), seed=seed, plan_sha256=plan.sha256, asked=samples,
                   output=os.path.abspath(out))
    for note in plan.source.notes():
        click.echo(f"note: {note}", err=True)
    workers = workers or default_workers(generator.provider)
    if dry_run:
        _print_plan(plan, out, existing, workers, as_json)
    elif scaling.given:
        check_file(out, "resume")
        if share_out(Generation(plan, out), scaling, "gen", workers, as_json):
            audit_log.note(made=plan.samples)
            say_merged(plan, out)
            _say_weakness(generator)
    elif repair:
        with show_progress("repairing", plan.samples, sys.stderr) as progress:
            click.echo(f"{out}: {repair_dataset(plan, out, progress, workers)} of {len(plan.parts)} parts computed "
                       "again.")
    else:
        _generate(plan, out, existing, workers, as_json)
        _say_weakness(generator)


def _say_weakness(generator: Generator) -> None:
    """Whether the bundle falls short of its cohort, on stderr; nothing where it does not."""
    if short := weakness(read_obedience(generator.manifest.quality), generator.domain):
        click.echo(f"note: {generator.manifest.name}: {short}", err=True)


def _choice(bundle: Bundle, provider: str, precision: str, out: Path, existing: Existing) -> Choice:
    """What runs the networks; a resumed run keeps what auto chose at its start."""
    before = provider_under_way(out) if provider == AUTO and existing == "resume" else None
    if before is not None:
        return Choice(provider, before, precision, f"provider auto: {before}, as in the run that is resumed")
    return choose_provider(bundle, provider, 1, precision)  # each worker runs the networks on one core


def _with_best_batch_size(generator: Generator, settings: SamplingSpec, out: Path, resume: bool) -> SamplingSpec:
    """The settings with the batch size that is fastest here, or that of the run which is resumed."""
    size = (batch_size_under_way(out) if resume else None) or best_batch_size(generator, settings)
    click.echo(f"batch size: {size}", err=True)
    return replace(settings, batch_size=size)


def _requests(generator: Generator, conditions: int, grid_file: Path | None, masks_file: Path | None, subset: str,
              infeasible: str, like: LikeOptions, prompt: str | None, edits: EditOptions) -> RequestSource:
    """Where the requests come from. Raises InputError where the files given are not what the bundle takes."""
    if prompt is not None:
        return prompted_requests(generator, conditions, prompt, grid_file or masks_file, infeasible)
    if subset and masks_file is None and like.like_file is None:
        raise InputError(f"--subset {subset} is a part of a dataset of label maps. Give the dataset: --masks FILE.")
    if infeasible != POLICIES[0] and (grid_file is None or masks_file is not None):
        raise InputError(f"--infeasible {infeasible} is for a grid whose label maps are drawn. Leave it out, or pass "
                         "--attributes CSV without --masks.")
    if grid_file is None and masks_file is None:
        if generator.manifest.conditions:
            raise InputError("expected either --attributes CSV or --masks FILE.")
        return FreeRequests(generator.domain)
    generator.check_asked(True)
    grid = None
    if grid_file is not None:
        with show_progress("checking rows", 0, sys.stderr, brief=True) as progress:
            grid = read_grid(grid_file, generator.domain, masks_file is not None, infeasible == POLICIES[0], progress)
            grid = grid if masks_file is not None else settle(grid, generator.domain, infeasible, progress)
    if masks_file is not None:
        if like.like_file is not None:
            check_pairs(like.like_file, masks_file)
        elif subset and is_of_files(masks_file):
            raise InputError(f"{masks_file}: files have no subset {subset!r}. Give a dataset (.h5), or leave --subset "
                             "out.")
        masks = (maps_of_files(masks_file, generator.canvas) if is_of_files(masks_file) else
                 read_masks(masks_file, generator.canvas, subset))
        return masks if grid is None else MaskGridRequests.spread(grid, conditions, masks)
    assert grid is not None
    return edits.drawn(grid, conditions, generator.canvas)


def _print_plan(plan: Plan, out: Path, existing: Existing, workers: int, as_json: bool) -> None:
    if not is_finished(plan, out, existing):
        check_output(plan, out, existing)
    resolved = {"out": str(out), "existing": existing, "parts": len(plan.parts), "workers": workers,
                "bytes_at_most": plan.bytes_needed, "bundle_path": str(plan.generator.bundle.path), **plan.content()}
    if as_json:
        click.echo(json.dumps(resolved, indent=1))
        return
    for name, value in resolved.items():
        text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name:<17} {text}")


def _generate(plan: Plan, out: Path, existing: Existing, workers: int, as_json: bool) -> None:
    start = time.monotonic()
    with show_progress("generating", plan.samples, sys.stderr) as progress:
        generate_dataset(plan, out, existing, progress, workers)
    audit_log.note(made=plan.samples)
    say_made(plan, out, time.monotonic() - start, as_json)
