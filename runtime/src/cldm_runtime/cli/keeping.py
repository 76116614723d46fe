"""The options of `cldm gen` for keeping only images that a segmenter reads as they were asked for."""

import os
from dataclasses import dataclass
from pathlib import Path

import click

from ..errors import InputError
from ..generation.generator import Generator
from ..generation.quality_filter import TRIES, QualityFilter
from ..segmentation.segmenter import Segmenter
from .numbers import WholeNumber
from .option_group import option_group

_OPTIONS = {
    "keep_if": click.option(
        "--keep-if", metavar="RULE", help="Keep only images that meet a rule on what a segmenter finds in them, such "
        'as "infarct_dice >= 0.7 and abs(infarct_size_error) <= 0.03". An unknown name lists those that exist.'),
    "segmenter_folder": click.option(
        "--segmenter", "segmenter_folder", type=click.Path(path_type=Path), metavar="DIR", help="With --keep-if: the "
        "bundle of the segmenter.  [default: <domain>-segmenter next to the generator bundle]"),
    "tries": click.option(
        "--tries", type=WholeNumber(min=1), metavar="T", help="With --keep-if: images generated for a sample, with new "
        f"noise each time, until one is kept; after that the sample is given up.  [default: {TRIES}]"),
}
KEEP_NAMES = tuple(_OPTIONS)


@dataclass(frozen=True)
class KeepOptions:
    """The values of these options."""

    keep_if: str | None
    segmenter_folder: Path | None
    tries: int | None

    def filter_for(self, generator: Generator) -> QualityFilter | None:
        """The filter; None without a rule. Raises InputError, BundleError or ProviderError."""
        if self.keep_if is None:
            for name, value in (("--segmenter", self.segmenter_folder), ("--tries", self.tries)):
                if value is not None:
                    raise InputError(f"{name} {value}: is of a rule by which images are kept. Pass --keep-if RULE, or "
                                     "leave it out.")
            return None
        bundle, choice = generator.bundle, generator.choice
        beside = os.path.normpath(bundle.path / os.pardir / f"{bundle.manifest.domain}-segmenter")
        segmenter = Segmenter.load(self.segmenter_folder or beside, choice.provider, generator.threads,
                                   choice.precision)
        return QualityFilter.of(self.keep_if, generator, segmenter, TRIES if self.tries is None else self.tries)


keep_options = option_group("keep", KeepOptions, _OPTIONS)
"""Gives a command the options, and their values as `keep`."""
