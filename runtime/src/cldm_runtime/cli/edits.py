"""The options of `cldm gen` for lesions in given or held hearts, and for pairs."""

from dataclasses import dataclass
from pathlib import Path

import click

from ..domains.domain import Domain
from ..domains.edit_rules import EditRules
from ..errors import InputError
from ..generation.generator import Generator
from ..generation.given_files import check_pairs, given_images, is_of_files, maps_of_files
from ..generation.likeness import check_encoder
from ..requests.canvas import Canvas
from ..requests.edit_grid import edit_grid_from_prompt, edit_rules, open_edit_grid, read_edit_grid
from ..requests.edited_maps import EditedMapRequests
from ..requests.grid import Grid
from ..requests.held_anatomy import HeldAnatomyRequests
from ..requests.infeasible import POLICIES
from ..requests.painted_images import PaintedImageRequests
from ..requests.pairs import both_of_each, paired
from ..requests.sources import GridRequests, RequestSource, read_masks
from .likeness import LikeOptions
from .option_group import option_group

_OPTIONS = {
    "edit": click.option(
        "--edit", metavar="LESION", help="Edit this lesion, such as scar, in given label maps: those of --masks or of "
        "the dataset of --like. --attributes says how, one edit a row. With --like the given images are painted anew "
        "where the edit shows; every other pixel stays as it is."),
    "pairs": click.option("--pairs", is_flag=True, help="Write each sample twice: without its lesion, or as it was "
                          "given, and with it. Noise, and all pixels away from the lesion, are equal. N counts both."),
    "hold_anatomy": click.option("--hold-anatomy", is_flag=True, help="The k-th sample of every row of --attributes "
                                 "shows the same anatomy with the same noise; only the lesion differs."),
}
EDIT_NAMES = tuple(_OPTIONS)


@dataclass(frozen=True)
class EditOptions:
    """The values of these options."""

    edit: str | None
    pairs: bool
    hold_anatomy: bool

    def conditions(self, samples: int) -> int:
        """How many requests a run has for that many samples. Raises InputError."""
        return both_of_each(samples) if self.pairs else samples

    def check(self, per_condition: int, prompt: str | None, keep_classes: str | None) -> None:
        """Raises InputError for options that do not go together."""
        if self.pairs and per_condition > 1:
            raise InputError(f"--pairs with --per-condition {per_condition}: pass one of the two.")
        if prompt is not None and self.hold_anatomy:
            raise InputError("--prompt with --hold-anatomy: one prompt is one row, and there is nothing to hold. Pass "
                             "--attributes CSV with a column prompt.")
        if keep_classes is not None and (self.edit or self.pairs or self.hold_anatomy):
            raise InputError("--keep-classes with --edit, --pairs or --hold-anatomy: lesions are drawn into whole "
                             "label maps. Leave --keep-classes out.")

    def drawn(self, grid: Grid, conditions: int, canvas: Canvas) -> RequestSource:
        """Requests for a grid of attributes. Raises InputError."""
        spread = HeldAnatomyRequests.spread if self.hold_anatomy else GridRequests.spread
        source: RequestSource = spread(grid, conditions, canvas)
        return source

    def source(self, generator: Generator, conditions: int, grid_file: Path | None, masks_file: Path | None,
               subset: str, infeasible: str, seed: int, like: LikeOptions, prompt: str | None) -> RequestSource:
        """Requests for edits of given label maps, and of given images. Raises InputError."""
        assert self.edit is not None
        self._check(masks_file, infeasible, like)
        rules, images_file, canvas = edit_rules(generator.domain, self.edit), like.like_file, generator.canvas
        grid = _grid(generator.domain, rules, grid_file, prompt)
        maps_file = masks_file or images_file
        assert maps_file is not None  # as checked
        if images_file is not None and masks_file is not None:
            check_pairs(images_file, masks_file)
        elif maps_file.suffix != ".h5" and images_file is not None:
            raise InputError(f"--like {images_file}: an edit needs the label map of each image. Pass --masks FILE, "
                             "or a dataset (.h5) that holds both.")
        maps = (maps_of_files(maps_file, canvas) if is_of_files(maps_file) else
                read_masks(maps_file, canvas, subset if maps_file.suffix == ".h5" else ""))
        edited = EditedMapRequests.spread(grid, conditions, maps, rules, seed, infeasible == "skip")
        if images_file is None:
            return edited
        check_encoder(generator.bundle)
        image = generator.manifest.image
        images, digest = given_images(images_file, image, subset if images_file.suffix == ".h5" else "")
        return PaintedImageRequests.of(edited, images, digest, image.value_range)

    def _check(self, masks_file: Path | None, infeasible: str, like: LikeOptions) -> None:
        if self.hold_anatomy:
            raise InputError("--hold-anatomy is for a grid whose label maps are drawn; the maps of --edit are given, "
                             "and every row shows the same ones. Leave it out.")
        if masks_file is None and like.like_file is None:
            raise InputError(f"--edit {self.edit} edits given label maps. Pass --masks FILE, or --like FILE with a "
                             "dataset of images and label maps.")
        if infeasible not in (POLICIES[0], "skip"):
            raise InputError(f"--infeasible {infeasible}: edits are drawn as asked or not at all. Pass skip, which "
                             "leaves out the maps that a row cannot be drawn in.")
        if like.similarity is not None or like.from_step is not None:
            raise InputError("--similarity and --from-step draw samples towards whole images; --edit paints a region "
                             "of them anew. Leave them out.")

    def paired(self, source: RequestSource, canvas: Canvas, batch_size: int) -> RequestSource:
        """The requests, each as a pair if pairs are asked for. Raises InputError."""
        return paired(source, canvas, batch_size) if self.pairs else source


def _grid(domain: Domain, rules: EditRules, grid_file: Path | None, prompt: str | None) -> Grid:
    """What to edit. Raises InputError."""
    if grid_file is not None and prompt is not None:
        raise InputError(f"--prompt and {grid_file} both say what to edit. Pass one of them; a grid may have a column "
                         "prompt.")
    if prompt is not None:
        return edit_grid_from_prompt(prompt, domain, rules)
    return open_edit_grid() if grid_file is None else read_edit_grid(grid_file, domain, rules)


edit_options = option_group("edits", EditOptions, _OPTIONS)
"""Gives a command the options, and their values as `edits`."""
