"""From the description of networks that were trained elsewhere to a bundle."""

from pathlib import Path

from cldm_runtime.domains.domain import Domain

from ..export.bundle_writer import refuse_to_overwrite
from .description import Description, read_description
from .generator import ImportedExport
from .networks import Imported


def import_networks(file: Path, target: Path, *, force: bool = False, torchscript: bool = True) -> Path:
    """Write the bundle `target` of the networks that a TOML file describes, and return it.

    Raises InputError for what the description or the weights lack, ParityError where a graph would not compute what the
    network computes, BundleError where the target exists and `force` is not given.
    """
    refuse_to_overwrite(target, force=force)
    description, domain = read_description(file)
    if description.nnunet is not None:
        from .nnunet_import import import_nnunet

        return import_nnunet(description, domain, file.parent, target, force=force, torchscript=torchscript)
    networks = read_networks(description, domain, file.parent)
    return ImportedExport(networks, description, domain, torchscript).write(target, force=force)


def read_networks(description: Description, domain: Domain, folder: Path) -> Imported:
    """The networks of a generator with their weights. folder: that paths are relative to. Raises InputError."""
    if description.diffusers is not None:
        from .diffusers_import import read_diffusers

        networks = read_diffusers(description, domain, folder)
    else:
        from .monai_import import MonaiNetworks

        networks = MonaiNetworks(description, domain, folder).read()
    for module in networks.roles.values():
        module.eval().requires_grad_(False)
    return networks
