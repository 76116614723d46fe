"""The options of `cldm gen` for given images."""

from dataclasses import dataclass
from pathlib import Path

import click

from ..bundle.manifest import SamplingSpec
from ..errors import InputError
from ..generation.generator import Generator
from ..generation.given_files import SHARE, SIMILARITY, drawn_towards
from ..requests.sources import RequestSource
from .numbers import Number, WholeNumber
from .option_group import option_group

_OPTIONS = {
    "like_file": click.option(
        "--like", "like_file", type=click.Path(path_type=Path), metavar="FILE",
        help="Draw samples towards given images: a dataset (.h5), an array (.npy), a picture, a scan of one image, or "
             "a folder of these. Sample i takes image i mod M. The label maps of a dataset are used if neither --masks "
             "nor --attributes is given."),
    "similarity": click.option("--similarity", type=Number(), metavar="L", help="With --like: 0 is free generation, 1 "
                               f"the given image as far as its noise leaves it.  [default: {SIMILARITY}]"),
    "from_step": click.option("--from-step", type=WholeNumber(min=0), metavar="T", help="With --like: the training "
                              "step at which images are mixed in; the nearest sampling step is taken. 0 is clean.  "
                              f"[default: {SHARE:.0%} of the training steps]"),
}
LIKE_NAMES = tuple(_OPTIONS)


@dataclass(frozen=True)
class LikeOptions:
    """The values of these options."""

    like_file: Path | None
    similarity: float | None
    from_step: int | None

    def masks_file(self, given: Path | None, grid_file: Path | None, generator: Generator) -> Path | None:
        """The file of label maps: the one that was given, or the dataset of images where nothing else is."""
        if given or grid_file or self.like_file is None or not generator.manifest.conditions:
            return given
        if self.like_file.suffix != ".h5":
            raise InputError(f"--like {self.like_file}: images alone do not say what samples show. Pass --masks FILE "
                             "with their label maps, or --attributes CSV.")
        return self.like_file

    def applied(self, requests: RequestSource, generator: Generator, settings: SamplingSpec,
                subset: str) -> RequestSource:
        """The requests with the given images. Raises InputError."""
        if self.like_file is None:
            for name, value in (("--similarity", self.similarity), ("--from-step", self.from_step)):
                if value is not None:
                    raise InputError(f"{name} {value:g}: is of given images. Pass them with --like FILE, or leave it "
                                     "out.")
            return requests
        return drawn_towards(requests, generator.bundle, generator.step_table(settings), self.like_file,
                             similarity=SIMILARITY if self.similarity is None else self.similarity,
                             from_step=self.from_step, subset=subset if self.like_file.suffix == ".h5" else "")


like_options = option_group("like", LikeOptions, _OPTIONS)
"""Gives a command the options, and their values as `like`."""
