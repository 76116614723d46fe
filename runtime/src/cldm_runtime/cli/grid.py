"""`cldm grid`: a grid of attributes by design, whose options are the attributes of a domain or bundle."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..bundle.bundle import Bundle
from ..bundle.declarations import find_domain
from ..domains.attributes import Attribute
from ..domains.domain import Domain
from ..errors import CldmError, InputError
from ..files.atomic import write_text
from ..generation.canvas import canvas_of
from ..requests.design import (
    FORMS,
    ROTATION,
    Axis,
    FeasibleRows,
    Row,
    as_csv,
    factorial,
    feasible,
    latin_hypercube,
    like_cohort,
    parse_axis,
)
from ..store import open_dataset
from .numbers import WholeNumber
from .progress import show_progress

DESIGNS = FULL, LHS = ("full", "lhs")
DEFAULT_DOMAIN = "lge"
_OF_CONTEXT = f"{__name__}.columns"

_DOMAIN = click.Option(["--domain", "domain_name"], metavar="NAME|FILE",
                       help=f"Domain of the attributes: a name, or a file that declares one.  [default: that of "
                            f"--bundle, else {DEFAULT_DOMAIN}]")
_BUNDLE = click.Option(["--bundle", "bundle_folder"], type=click.Path(path_type=Path), metavar="DIR",
                       envvar="CLDM_BUNDLE", show_envvar=True,
                       help="Offer what images of this generator can be requested with, in its ranges.")


def columns_of(domain_name: str | None, bundle_folder: Path | None) -> tuple[Domain, tuple[Attribute, ...]]:
    """The domain and the attributes that a grid can have as columns. Raises InputError and BundleError."""
    if bundle_folder is None:
        domain = find_domain(domain_name or DEFAULT_DOMAIN)
        return domain, (*domain.attributes, *domain.image_attributes, ROTATION)
    bundle = Bundle.load(bundle_folder)
    domain = bundle.domain()
    if domain_name not in (None, domain.name):
        raise InputError(f"bundle {bundle_folder} is of the domain {domain.name}, found --domain {domain_name}. Leave "
                         "one of the two out.")
    canvas = canvas_of(bundle.manifest, domain)
    of_maps = [each for each in domain.attributes if canvas.maps or each.name in canvas.attributes]
    of_images = [replace(each, low=canvas.imaging[each.name][0], high=canvas.imaging[each.name][1])
                 for each in domain.image_attributes if each.name in canvas.imaging]
    return domain, (*of_maps, *of_images, *([ROTATION] if canvas.maps else []))


class _AxisOption(click.Option):
    """The values of one attribute."""

    def __init__(self, attribute: Attribute) -> None:
        names = dict.fromkeys((f"--{attribute.name.replace('_', '-')}", f"--{attribute.name}"))
        super().__init__([*names, attribute.name], metavar="VALUES",
                         help=f"{attribute.description[:1].upper()}{attribute.description[1:]}; {attribute.unit}, "
                              f"{attribute.low:g} to {attribute.high:g}.")
        self.attribute = attribute

    def type_cast_value(self, context: click.Context, value: Any) -> Axis | None:
        return None if value is None else parse_axis(str(value), self.attribute)


class _GridCommand(click.Command):
    """A command with one more option for each attribute of the domain, or of what the bundle takes."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        context.meta[_OF_CONTEXT] = _columns_for(arguments, lenient=context.resilient_parsing)
        return super().parse_args(context, arguments)

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        _, columns = context.meta.get(_OF_CONTEXT) or columns_of(None, None)
        return [*(_AxisOption(attribute) for attribute in columns), *super().get_params(context)]


def _columns_for(arguments: Sequence[str], lenient: bool) -> tuple[Domain, tuple[Attribute, ...]]:
    """The domain and columns that --domain and --bundle among the arguments choose. lenient: those of the default
    domain where they choose none."""
    chooser = click.Command("choose", params=[_DOMAIN, _BUNDLE], add_help_option=False,
                            context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    chosen = chooser.make_context("choose", list(arguments), resilient_parsing=True).params
    try:
        return columns_of(chosen["domain_name"], chosen["bundle_folder"])
    except CldmError:
        if not lenient:
            raise
        return columns_of(None, None)


@click.command(cls=_GridCommand, params=[_DOMAIN, _BUNDLE],
               context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--design", type=click.Choice(DESIGNS), default=FULL, show_default=True,
              help="full: every combination of the values. lhs: a Latin hypercube of N rows.")
@click.option("--like", type=click.Path(path_type=Path), metavar="FILE",
              help="Take the rows from the samples of this dataset, in random order. VALUES are then LOW:HIGH, and "
                   "keep the samples in that range.")
@click.option("--subset", metavar="NAME", help="Use only this subset of the dataset of --like.")
@click.option("--n", "count", type=WholeNumber(min=1), metavar="N",
              help="Rows of lhs and --like, before those that cannot be met are left out.  [default of --like: each "
                   "sample once]")
@click.option("--seed", type=WholeNumber(0, 2**63 - 1), default=0, show_default=True, metavar="S",
              help="Seed of lhs and --like.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("grid.csv"), show_default=True, metavar="CSV",
              help="Grid file to write.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def grid(context: click.Context, /, domain_name: str | None, bundle_folder: Path | None, design: str,
         like: Path | None, subset: str | None, count: int | None, seed: int, out: Path, overwrite: bool, as_json: bool,
         **values: Axis | None) -> None:
    """Write a grid of attributes for `cldm-gen --attributes`, with the rows that an anatomy can meet.

    VALUES of an attribute are LOW:HIGH:COUNT (evenly spaced, both ends included), LOW:HIGH (any value between, for lhs
    and --like), or one or more values separated by commas. Attributes that are left out are sampled by `cldm-gen`.

    \b
    Examples:
      cldm grid --slice-position 0.1:0.9:5 --rotation-deg 0,90,180,270 --out grid.csv
      cldm grid --design lhs --n 200 --transmurality 0.3:0.9 --slice-position 0:1
      cldm grid --like cohort.h5 --subset train --n 500
      cldm grid --domain spleen.toml --tumour-share 0.1,0.2,0.3
    """
    domain, columns = context.meta[_OF_CONTEXT]
    axes = [axis for column in columns if (axis := values[column.name]) is not None]
    _check(design, like, subset, count, axes)
    if out.exists() and not overwrite and out.is_file():
        raise InputError(f"{out}: exists. Choose another --out, or pass --overwrite.")
    if like is None:
        rows = factorial(axes) if design == FULL else latin_hypercube(axes, count or 0, seed)
        names = [axis.name for axis in axes]
    else:
        names = _names(domain, columns, axes)
        rows = _rows_like(like, names, axes, count, seed, subset)
    with show_progress("checking rows", len(rows), sys.stderr, brief=True) as progress:
        found = feasible(rows, domain, progress)
    if not found.rows:
        raise InputError("\n".join(["no anatomy can meet any row; nothing was written.", *_reasons(found)]))
    write_text(out, as_csv(found.rows, names))
    _print(found, out, as_json)


def _check(design: str, like: Path | None, subset: str | None, count: int | None, axes: Sequence[Axis]) -> None:
    """Raises InputError for options that do not go together."""
    if like is None and not axes:
        raise InputError(f"found no attribute, expected at least one with its values: {FORMS}. See cldm grid --help.")
    if like is None and subset is not None:
        raise InputError(f"--subset {subset} is a part of a dataset. Give the dataset: --like FILE.")
    if like is not None and design != FULL:
        raise InputError(f"--like takes the rows from a dataset, --design {design} designs them. Leave one out.")
    if like is not None and (wrong := [axis.name for axis in axes if axis.levels or axis.name == ROTATION.name]):
        raise InputError(f"{', '.join(wrong)}: with --like expected measured attributes with LOW:HIGH, the range of "
                         "the samples that are kept.")
    if like is None and design == LHS and count is None:
        raise InputError("--design lhs needs the number of rows. Pass --n N.")
    if like is None and design == FULL and count is not None:
        raise InputError(f"--n {count} is for --design lhs and --like: a full design has as many rows as there are "
                         "combinations. Leave it out.")


def _names(domain: Domain, columns: Sequence[Attribute], axes: Sequence[Axis]) -> list[str]:
    """Columns of a grid like a cohort: the attributes of label maps, and of images those that have a range."""
    ranged = [axis.name for axis in axes]
    return [column.name for column in columns if column.name in (*domain.attribute_names, *ranged)]


def _rows_like(like: Path, names: Sequence[str], axes: Sequence[Axis], count: int | None, seed: int,
               subset: str | None) -> list[Row]:
    with open_dataset(like) as dataset:
        return like_cohort(dataset, names, axes, count, seed, subset)


def _reasons(found: FeasibleRows) -> list[str]:
    return [f"  {count} {'row' if count == 1 else 'rows'}, the first: {fault}" for count, fault in found.reasons]


def _print(found: FeasibleRows, out: Path, as_json: bool) -> None:
    total = len(found.rows) + found.left_out
    if as_json:
        click.echo(json.dumps({"out": str(out), "rows": len(found.rows), "left_out": found.left_out,
                               "reasons": [{"rows": count, "first": fault} for count, fault in found.reasons]}))
        return
    click.echo(f"{out}: {len(found.rows)} rows.")
    if found.left_out:
        click.echo("\n".join([f"{found.left_out} of {total} rows are left out, because no anatomy can meet them:",
                              *_reasons(found)]))
