"""Signed bundles. The hashes show that a folder is undamaged; the signature shows who made it.

`signature.json` lies in the folder; the manifest does not list it. It holds the SHA-256 of every other file, listed or
not, so no file can be altered, added, removed or swapped. The signed text can be made again from the files (section 5
of docs/bundle-format.md):

    cldm bundle signature 1
    <sha256>  MODEL_CARD.md
    <sha256>  decoder.onnx
    ...
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..errors import BundleError, list_faults
from ..files.digest import sha256_of
from ..files.names import is_plain_name, is_sha256
from ..files.records import read_record
from .manifest import MANIFEST_FILE
from .signing_keys import KeyPath, read_public_key

SIGNATURE_FILE = "signature.json"
FORMAT: Final = "cldm-signature"
FORMAT_VERSION: Final = 1
_LARGEST = 2**20  # bytes of signature.json; a file of the bundle takes 100
_SIGN_AGAIN = "Get the bundle again from its signer, or sign its present content (cldm sign)."


@dataclass(frozen=True)
class Signature:
    """The content of signature.json. key_sha256: fingerprint of the public key. files: name -> SHA-256 of every file
    of the folder but this. signature: base64 of the 64 bytes that sign `signed_text(files)`."""

    format: Literal["cldm-signature"]
    format_version: Literal[1]
    algorithm: Literal["ed25519"]
    key_sha256: str
    files: Mapping[str, str]
    signature: str


def signed_text(files: Mapping[str, str]) -> bytes:
    """The signed text: a line that names its purpose, then one for each file as sha256sum prints it, sorted."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(files.items())]
    return f"cldm bundle signature {FORMAT_VERSION}\n{''.join(lines)}".encode()


def check_signature(folder: Path, public_key: KeyPath, manifest_sha256: str) -> None:
    """Check that the owner of the key signed every file of the folder as it is now, and a manifest of that SHA-256.

    Raises BundleError if not, InputError for a key that cannot be used.
    """
    key, signed = read_public_key(public_key), _read(folder)
    if signed.key_sha256 != key.fingerprint:
        raise BundleError(f"bundle {folder} is signed with the key {signed.key_sha256[:16]}..., expected that of "
                          f"{public_key}, {key.fingerprint[:16]}.... {_SIGN_AGAIN}")
    try:
        signature = base64.b64decode(signed.signature, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if not key.verifies(signature, signed_text(signed.files)):
        raise BundleError(f"{folder / SIGNATURE_FILE} is forged or damaged: it is not a signature of the key "
                          f"{public_key} for the files that it lists. {_SIGN_AGAIN}")
    present = {**files_of(folder), MANIFEST_FILE: manifest_sha256}
    faults = [f"{name}: {_difference(signed.files.get(name), present.get(name))}"
              for name in sorted({*signed.files, *present}) if signed.files.get(name) != present.get(name)]
    if faults:
        raise BundleError(list_faults(f"bundle {folder} is not what was signed. {_SIGN_AGAIN}", faults))


def files_of(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file of the folder but the signature. Raises BundleError for a link or a folder."""
    faults, files = [], {}
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not entry.is_file(follow_symlinks=False) or not is_plain_name(entry.name):
                    faults.append(f"{entry.name!r}: expected a file with a plain name, not a link, a folder or a "
                                  "hidden file. Remove it")
                elif entry.name != SIGNATURE_FILE:
                    files[entry.name] = sha256_of(Path(entry.path))
    except OSError as error:
        raise BundleError(f"bundle {folder}: cannot be read ({error}).") from error
    if faults:
        raise BundleError(list_faults(f"bundle {folder} holds what no signature covers.", faults))
    return files


def _difference(signed: str | None, present: str | None) -> str:
    if signed is None:
        return "was added"
    return "is missing" if present is None else "was altered"


def _read(folder: Path) -> Signature:
    """The checked content of signature.json; its signature is not checked. Raises BundleError."""
    path = folder / SIGNATURE_FILE
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"bundle {folder} has no signature ({SIGNATURE_FILE}), and one is required. "
                              f"{_SIGN_AGAIN}")
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise BundleError(f"{path}: more than {_LARGEST} bytes, which is no signature.")
        value = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: cannot be read as JSON ({error}). {_SIGN_AGAIN}") from error
    version = value.get("format_version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(f"{path}: format_version {version} is newer than the newest that this runtime reads "
                          f"({FORMAT_VERSION}). Update it: pip install --upgrade cldm-runtime.")
    faults: list[str] = []
    signature = read_record(Signature, value, "", faults)
    if signature is not None:
        faults += [f"{name!r}: expected a plain file name" for name in signature.files if not is_plain_name(name)]
        faults += [f"{digest!r}: expected a SHA-256" for digest in (signature.key_sha256, *signature.files.values())
                   if not is_sha256(digest)]
    if signature is None or faults:
        raise BundleError(list_faults(f"{path} is faulty. {_SIGN_AGAIN}", faults))
    return signature
