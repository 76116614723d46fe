"""Opens a bundle: checks names, hashes and graphs before anything in it is used.

Trust: the hashes detect damage and partial copies, not forgery, because an attacker can rewrite the manifest too.
A signature (signing.py) shows who made the folder.
"""

import base64
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from ..domains.domain import Domain
from ..errors import BundleError, InputError, checked_path, list_faults
from ..files.digest import sha256_of_bytes
from ..files.names import is_plain_name
from ..files.npz import read_npz
from ..files.records import plain
from .declarations import carried_domain
from .manifest import MANIFEST_FILE, FileSpec, GraphSpec, Manifest
from .read_manifest import read_manifest
from .signing import FORMAT, FORMAT_VERSION, SIGNATURE_FILE, Signature, files_of, signed_text
from .signing_keys import PrivateKey

REQUIRE_SIGNATURE = "CLDM_REQUIRE_SIGNATURE"
_LARGEST_MANIFEST = 2**20  # bytes; a manifest of 1000 steps takes 30 kB
_LARGEST_FILE = 2**31 - 1  # bytes, the limit of an ONNX model


@dataclass(frozen=True)
class Bundle:
    """A checked bundle. `manifest_text` is the unchanged text of manifest.json, `manifest_sha256` its digest,
    `signed_with` the public key whose signature was required ("": none)."""

    path: Path
    manifest: Manifest
    manifest_text: str
    signed_with: str = ""

    @classmethod
    def load(cls, path: str | os.PathLike[str], verify: bool = True,
             require_signature: str | os.PathLike[str] | None = None) -> Self:
        """Open the bundle folder. `verify` checks the hash of every listed file now. Each file is checked again when
        it is used, so without `verify` only unused files stay unchecked. `require_signature`: PEM file of the public
        key that the folder must be signed with; None: that of $CLDM_REQUIRE_SIGNATURE, if it is set; "": none.

        Raises BundleError with a list of all faulty files, or with the fault of the signature.
        """
        folder = checked_path(path, "bundle")
        if not folder.is_dir():
            raise BundleError(f"bundle {folder}: no such folder. Pass the folder that holds {MANIFEST_FILE}. The "
                              "source has bundles in exported/, and `cldm-train export` writes them.")
        text = _read_manifest(folder)
        required = os.environ.get(REQUIRE_SIGNATURE, "") if require_signature is None else os.fspath(require_signature)
        if required:
            from .signing import check_signature  # here, because few bundles are signed

            check_signature(folder, required, sha256_of_bytes(text.encode("utf-8")))
        try:
            manifest = read_manifest(text)
        except BundleError as error:
            raise BundleError(f"bundle {folder}: {error}") from error
        bundle = cls(folder, manifest, text, required)
        if verify:
            bundle.check_files()
        return bundle

    def __reduce__(self) -> tuple[object, ...]:
        """Another process loads the folder, and checks it, for itself."""
        return Bundle.load, (self.path.absolute(), True, self.signed_with and os.path.abspath(self.signed_with))

    @property
    def manifest_sha256(self) -> str:
        return sha256_of_bytes(self.manifest_text.encode("utf-8"))

    @property
    def identity(self) -> str:
        """Name, revision and digest, for people."""
        return f"{self.manifest.name} {self.manifest.bundle_version} (manifest {self.manifest_sha256[:12]})"

    def check_files(self) -> None:
        """Compare every listed file with its hash. Raises BundleError with a list of all faulty files."""
        faults = []
        for name, digest in self.manifest.files().items():
            try:
                _check_file(self.path, name, digest)
            except BundleError as error:
                faults.append(str(error))
        if faults:
            raise BundleError(list_faults(f"bundle {self.path} is damaged. Copy or export it again.", faults))

    def read(self, file: FileSpec | GraphSpec) -> bytes:
        """The bytes of a listed file, checked against its hash. Raises BundleError."""
        return read_listed(self.path, file.file, file.sha256)

    def reference(self) -> dict[str, NDArray[Any]]:
        """The arrays of the reference file by key; `reference.py` describes the keys. Raises BundleError."""
        spec = self.manifest.reference
        return read_npz(read_listed(self.path, spec.file, spec.sha256), f"reference {self.path / spec.file}")

    def domain(self) -> Domain:
        """The domain that the bundle declares or names.

        Raises BundleError for an unknown name without a declaration, for a faulty declaration, and if bundle and domain
        differ in labels or attributes.
        """
        manifest, where = self.manifest, f"bundle {self.path}"
        try:
            domain = carried_domain(manifest.domain, manifest.declared_domain, where)
        except InputError as error:
            raise BundleError(str(error)) from error
        faults = []
        if manifest.labels.names != tuple(domain.labels.names):
            faults.append(f"labels are {list(manifest.labels.names)}, the domain's {list(domain.labels.names)}")
        known = (*domain.attribute_names, *domain.image_attribute_names)
        unknown = [spec.name for spec in manifest.attributes if spec.name not in known]
        if unknown:
            faults.append(f"attributes {unknown} are unknown, the domain knows {list(known)}")
        if faults:
            raise BundleError(list_faults(f"bundle {self.path} does not fit the domain {domain.name}.", faults))
        return domain


def _read_manifest(folder: Path) -> str:
    data = read_regular(folder, MANIFEST_FILE, _LARGEST_MANIFEST)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{folder / MANIFEST_FILE} is not UTF-8 text: {error}. Export the bundle again.") from error


def read_listed(folder: Path, name: str, digest: str) -> bytes:
    """The bytes of a file of a folder, checked against their SHA-256. Raises BundleError."""
    data = read_regular(folder, name)
    _require_digest(folder / name, sha256_of_bytes(data), digest, len(data))
    return data


def _check_file(folder: Path, name: str, digest: str) -> None:
    """As `_read_file`, in constant memory."""
    with _open_regular(folder, name) as stream:
        _require_digest(folder / name, hashlib.file_digest(stream, "sha256").hexdigest(), digest, stream.tell())


def _require_digest(path: Path, actual: str, expected: str, size: int) -> None:
    if actual != expected:
        raise BundleError(f"{path}: sha256 is {actual[:12]}..., the manifest says {expected[:12]}... ({size} bytes "
                          "found): the file was altered or truncated.")


def read_regular(folder: Path, name: str, largest: int = _LARGEST_FILE) -> bytes:
    """The bytes of a regular file of a folder, which is no link. Raises BundleError."""
    with _open_regular(folder, name, largest) as stream:
        return stream.read()


@contextmanager
def _open_regular(folder: Path, name: str, largest: int = _LARGEST_FILE) -> Iterator[io.BufferedReader]:
    """A regular file in the folder itself. Links are refused, so no file outside the folder is ever read."""
    if not is_plain_name(name):
        raise BundleError(f"{name!r}: expected a plain file name inside {folder}.")
    path = folder / name
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path}: expected a regular file, not a link or a folder.")
        if status.st_size > largest:
            raise BundleError(f"{path}: {status.st_size} bytes, expected at most {largest}.")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            yield stream
    except OSError as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else error.strerror
        raise BundleError(f"{path}: {reason}.") from error


def sign_bundle(bundle: Bundle, key: PrivateKey, overwrite: bool = False) -> Path:
    """Write signature.json into the folder of a bundle whose files match its manifest.

    Raises BundleError if the folder contains anything that cannot be signed, InputError if a signature exists.
    """
    from ..files.atomic import write_text  # here, because only signing and reports need it

    bundle.check_files()
    target = bundle.path / SIGNATURE_FILE
    if target.exists() and not overwrite:
        raise InputError(f"{target}: already exists. `cldm sign --overwrite` signs again.")
    files = files_of(bundle.path)
    if files[MANIFEST_FILE] != bundle.manifest_sha256:
        raise BundleError(f"bundle {bundle.path} was altered while it was signed. Sign it again.")
    signed = base64.b64encode(key.sign(signed_text(files))).decode()
    signature = Signature(FORMAT, FORMAT_VERSION, "ed25519", key.public.fingerprint, files, signed)
    write_text(target, json.dumps(plain(signature), indent=1) + "\n")
    return target
