"""Options that several commands share."""

from pathlib import Path
from typing import Literal

import click

from ..bundle.bundle import Bundle
from ..errors import BundleError
from .numbers import WholeNumber

DEFAULT_BUNDLE = "exported/lge2"

bundle_option = click.option(
    "--bundle", "bundle_folder", type=click.Path(path_type=Path), metavar="DIR", envvar="CLDM_BUNDLE",
    default=Path(DEFAULT_BUNDLE), show_default=True, show_envvar=True, help="Generator bundle.")


def load_generator_bundle(folder: Path) -> Bundle:
    """The bundle of --bundle. Raises BundleError, which says where bundles come from where there is no such folder."""
    if not folder.is_dir():
        raise BundleError(f"bundle {folder}: no such folder. Pass --bundle DIR or set $CLDM_BUNDLE to a folder that "
                          f"holds manifest.json. The source has bundles in exported/ ({DEFAULT_BUNDLE} below the "
                          "current folder is the default), and `cldm-train export` writes them.")
    return Bundle.load(folder)


def parse_batch_size(context: click.Context, parameter: click.Parameter,
                     value: str | None) -> int | Literal["auto"] | None:
    """A number of images, or "auto". Raises click.BadParameter."""
    if value is None:
        return None
    if value == "auto":
        return "auto"
    size: int = WholeNumber(min=1)(value, parameter, context)
    return size
