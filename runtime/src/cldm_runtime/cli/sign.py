"""`cldm sign`: sign a bundle, so that others can check who made it."""

from pathlib import Path

import click

from ..bundle.bundle import Bundle, sign_bundle
from ..bundle.signing import SIGNATURE_FILE
from ..bundle.signing_keys import read_private_key, read_secret
from .audited import AuditedCommand
from .run_log import note

password_option = click.option(
    "--password-file", type=click.Path(path_type=Path), metavar="FILE",
    help="File that holds the password of the private key.  [default: prompt]")


def password_of(file: Path) -> str:
    """The first line of a file that nobody else may read. Raises InputError."""
    return read_secret(file).decode("utf-8", "replace").partition("\n")[0].rstrip("\r")


@click.command(cls=AuditedCommand)
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), metavar="PEM", help="Private key (Ed25519), "
              "which nobody else may read; see cldm keygen.")
@password_option
@click.option("--overwrite", is_flag=True, help="Replace a signature.")
def sign(bundle: Path, key: Path, password_file: Path | None, overwrite: bool) -> None:
    """Sign every file of BUNDLE. Writes signature.json into its folder.

    Check it with `cldm verify BUNDLE --require-signature public.pem`. If CLDM_REQUIRE_SIGNATURE=public.pem is set,
    every command refuses bundles that are not signed with that key.

    \b
    Example:
      cldm sign exported/lge --key private.pem
    """
    opened = Bundle.load(bundle, require_signature="")
    note(opened, output=str((bundle / SIGNATURE_FILE).absolute()))
    private = read_private_key(key, lambda: password_of(password_file) if password_file else
                               click.prompt(f"Password of {key}", hide_input=True, err=True))
    target = sign_bundle(opened, private, overwrite)
    click.echo(f"{target}: {opened.identity}, signed with the key {private.public.fingerprint}.")
