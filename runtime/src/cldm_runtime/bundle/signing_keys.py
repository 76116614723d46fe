"""Ed25519 keys in PEM files, by the package cryptography (extra `sign`), which is imported when a key is used."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.digest import sha256_of_bytes

_LARGEST_KEY = 64 * 2**10  # bytes; an Ed25519 key takes 200
_PRIVATE_MODE = 0o600
KeyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class PublicKey:
    """`fingerprint`: SHA-256 in hex of the key as DER (SubjectPublicKeyInfo), which identifies the key."""

    fingerprint: str
    key: Any

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is of exactly these bytes and by this key."""
        try:
            self.key.verify(signature, message)
        except import_module("cryptography.exceptions").InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A private key, and the public one that belongs to it."""

    public: PublicKey
    key: Any

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return bytes(self.key.sign(message))


def read_public_key(path: KeyPath) -> PublicKey:
    """The public key in a PEM file. Raises InputError."""
    ed25519, serialization = _cryptography()
    key = _parse(Path(path), "public", lambda: serialization.load_pem_public_key(_read(Path(path))))
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError(f"{path}: holds a key of another kind, expected an Ed25519 public key. Make a pair with "
                         "cldm keygen.")
    return _public(key, serialization)


def read_private_key(path: KeyPath, password: Callable[[], str]) -> PrivateKey:
    """The private key in a PEM file that nobody else may read. `password` is called if it is encrypted. Raises
    InputError."""
    ed25519, serialization = _cryptography()
    data = read_secret(path)
    encrypted = re.search(rb"^-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED", data, re.MULTILINE)
    secret = password().encode() if encrypted else None
    key = _parse(Path(path), "private", lambda: serialization.load_pem_private_key(data, secret))
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InputError(f"{path}: holds a key of another kind, expected an Ed25519 private key. Make a pair with "
                         "cldm keygen.")
    return PrivateKey(_public(key.public_key(), serialization), key)


def make_key_pair(private_file: KeyPath, public_file: KeyPath, password: str = "") -> PublicKey:
    """Write two new PEM files. Only the owner may read the private one, which is encrypted if there is a password.

    Raises InputError if a file cannot be written or exists: a key is never replaced.
    """
    ed25519, serialization = _cryptography()
    key = ed25519.Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    encryption = (serialization.BestAvailableEncryption(password.encode()) if password
                  else serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    if Path(public_file).exists():
        raise InputError(f"{public_file}: already exists, and keys are not replaced. Choose another name.")
    _write_new(private_file, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption), _PRIVATE_MODE)
    _write_new(public_file, public, 0o644)
    return _public(key.public_key(), serialization)


def read_secret(path: KeyPath) -> bytes:
    """The bytes of a file with a private key or password. Raises InputError if others may read it."""
    return _read(Path(path), private=True)


def _cryptography() -> tuple[Any, Any]:
    """The modules ed25519 and serialization. Raises InputError if the package is missing."""
    try:
        return (import_module("cryptography.hazmat.primitives.asymmetric.ed25519"),
                import_module("cryptography.hazmat.primitives.serialization"))
    except ImportError as error:
        raise InputError("signatures need the package cryptography, which is not installed. "
                         "Run: pip install 'cldm-runtime[sign]'.") from error


def _public(key: Any, serialization: Any) -> PublicKey:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(sha256_of_bytes(der), key)


def _parse(path: Path, kind: str, parse: Callable[[], Any]) -> Any:
    unsupported = import_module("cryptography.exceptions").UnsupportedAlgorithm
    try:
        return parse()
    except (ValueError, TypeError, unsupported) as error:
        wrong = " or the password is wrong" if kind == "private" else ""
        raise InputError(f"{path}: is not an Ed25519 {kind} key in PEM form{wrong} ({error}).") from error


def _read(path: Path, private: bool = False) -> bytes:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read(_LARGEST_KEY + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Give a file that holds a key.") from error
    if private and os.name == "posix" and mode & 0o077:
        raise InputError(f"{path}: others may read it (mode {mode & 0o777:03o}), expected {_PRIVATE_MODE:03o}. Run: "
                         f"chmod 600 {path}, and make a new key if it was open to strangers.")
    if len(data) > _LARGEST_KEY:
        raise InputError(f"{path}: more than {_LARGEST_KEY} bytes, which is no key.")
    return data


def _write_new(path: KeyPath, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except OSError as error:
        reason = "already exists, and keys are not replaced" if isinstance(error, FileExistsError) else error.strerror
        raise InputError(f"{path}: cannot be written ({reason}). Choose another name.") from error
