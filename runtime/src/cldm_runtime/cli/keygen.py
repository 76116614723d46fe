"""`cldm keygen`: a pair of keys to sign bundles with."""

from pathlib import Path

import click

from ..bundle.signing_keys import make_key_pair
from ..errors import InputError
from .sign import password_of, password_option


@click.command()
@click.argument("private", metavar="PRIVATE.PEM", type=click.Path(path_type=Path))
@click.argument("public", metavar="PUBLIC.PEM", type=click.Path(path_type=Path))
@password_option
@click.option("--no-password", is_flag=True, help="Leave the private key unencrypted.")
def keygen(private: Path, public: Path, password_file: Path | None, no_password: bool) -> None:
    """Make an Ed25519 key pair. PRIVATE.PEM signs bundles; keep it secret. Give PUBLIC.PEM to those who check them.

    \b
    Example:
      cldm keygen private.pem public.pem
    """
    if password_file is not None:
        if no_password or not (password := password_of(password_file)):
            raise InputError("--password-file and --no-password exclude each other, and an empty file is no password. "
                             "Pass one of them.")
    else:
        password = "" if no_password else click.prompt("Password of the private key", hide_input=True,
                                                       confirmation_prompt=True, err=True)
    pair = make_key_pair(private, public, password)
    click.echo(f"{private}, {public}: made. Fingerprint of the key: {pair.fingerprint}.")
