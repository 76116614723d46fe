"""`cldm-train import`: networks that were trained elsewhere."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

MONAI_COMPAT = click.option("--monai-compat", is_flag=True, help="Also write DIR-monai beside each bundle DIR: "
                            "metadata.json and inference.json for MONAI's tools.")


def describe_to_monai(bundles: Sequence[Path], wanted: bool, force: bool) -> None:
    """What --monai-compat asks for."""
    for bundle in bundles if wanted else ():
        folder = import_module("cldm_trainer.export.monai_bundle").write_monai_bundle(bundle, force=force)
        click.echo(f"{folder}: describes {bundle} to MONAI's tools.")


@click.command("import")
@click.argument("description", type=click.Path(), metavar="NETWORKS.toml")
@click.option("--out", required=True, type=click.Path(), metavar="DIR", help="The bundle to write.")
@click.option("--force", is_flag=True, help="Replace a bundle that exists.")
@click.option("--torchscript/--no-torchscript", default=True, show_default=True,
              help="Also write every graph as a TorchScript trace, for users of torch and for GPUs.")
@MONAI_COMPAT
def import_command(description: str, out: str, force: bool, torchscript: bool, monai_compat: bool) -> None:
    """Make a bundle of networks that were trained elsewhere, with MONAI, monai-generative, diffusers or nnU-Net.

    NETWORKS.toml names the files and says what weights alone do not: docs/weights-from-elsewhere.md.

    \b
    cldm-train import networks.toml --out exported/imported
    cldm verify exported/imported
    """
    if monai_compat:
        import_module("cldm_trainer.export.monai_bundle").refuse_to_replace(Path(out), force=force)
    module = import_module("cldm_trainer.adopt.networks_file")
    folder = module.import_networks(Path(description), Path(out), force=force, torchscript=torchscript)
    click.echo(f"{folder}: written; it computes what the original networks compute (see its MODEL_CARD.md).")
    describe_to_monai([folder], monai_compat, force)
