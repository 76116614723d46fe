"""Opens a bundle: checks names, hashes and graphs before anything in it is used.

Trust: the hashes tell damage and partial copies, not forgery, since who can rewrite a file can rewrite the manifest.
A signature (signing.py) tells who made the folder.
"""

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from .domain import Domain, get_domain
from .engines import TORCHSCRIPT, Engine, check_provider, open_engine
from .errors import BundleError, list_faults
from .manifest import FileSpec, GraphSpec, Manifest
from .npz import read_npz
from .onnx_scan import scan_model

MANIFEST_FILE = "manifest.json"
REQUIRE_SIGNATURE = "CLDM_REQUIRE_SIGNATURE"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LARGEST_MANIFEST = 2**20  # bytes; a manifest of 1000 steps takes 30 kB
_LARGEST_FILE = 2**31 - 1  # bytes, as many as an ONNX model can have


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes in lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A checked bundle. `manifest_text` is the text of manifest.json as found, `manifest_sha256` its digest,
    `signed_with` the public key that it had to be signed with ("": none)."""

    path: Path
    manifest: Manifest
    manifest_text: str
    signed_with: str = ""

    @classmethod
    def load(cls, path: str | os.PathLike[str], verify: bool = True,
             require_signature: str | os.PathLike[str] | None = None) -> Self:
        """Open the bundle folder. `verify` checks the hash of every listed file now; a file is checked again when
        it is used, so leaving it out only skips files that are never used. `require_signature`: PEM file of the public
        key that the folder must be signed with; None: that of $CLDM_REQUIRE_SIGNATURE, if it is set; "": none.

        Raises BundleError that lists every faulty file, or says what is wrong with the signature.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise BundleError(f"bundle {folder}: no such folder. Pass the folder that holds {MANIFEST_FILE}.")
        text = _read_manifest(folder)
        required = os.environ.get(REQUIRE_SIGNATURE, "") if require_signature is None else os.fspath(require_signature)
        if required:
            from .signing import check_signature  # here, because few bundles are signed

            check_signature(folder, required, sha256_of_bytes(text.encode("utf-8")))
        bundle = cls(folder, Manifest.from_json(text), text, required)
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
        """Compare every listed file with its hash. Raises BundleError that lists every faulty file."""
        faults = []
        for name, digest in self.manifest.files().items():
            try:
                _check_file(self.path, name, digest)
            except BundleError as error:
                faults.append(str(error))
        if faults:
            raise BundleError(list_faults(f"bundle {self.path} is damaged. Copy or export it again.", faults))

    def read(self, file: FileSpec | GraphSpec) -> bytes:
        """The bytes of a listed file, which have the listed hash. Raises BundleError."""
        return _read_file(self.path, file.file, file.sha256)

    def open(self, role: str, provider: str = "cpu", threads: int | None = None, precision: str = "fp32") -> Engine:
        """An engine for the graph of that role. `threads`: of one operator; None takes all cores. `precision`: one that
        the provider is offered with, see `engines.OFFERED`.

        Raises BundleError for a graph that is missing, altered or not allowed, ProviderError for a provider or
        precision that is not available.
        """
        graph = self.manifest.graphs.get(role)
        if graph is None:
            raise BundleError(f"bundle {self.path} has no graph {role}. It has: {', '.join(self.manifest.graphs)}.")
        check_provider(provider, precision)
        if provider in TORCHSCRIPT:
            if graph.torchscript is None:
                raise BundleError(f"bundle {self.path} holds no TorchScript form of {role}. Export it without "
                                  "--no-torchscript, or pass another --provider.")
            return open_engine(self.read(graph.torchscript), graph, provider, threads, precision)
        data = self.read(graph)
        faults = scan_model(data)
        if faults:
            raise BundleError(list_faults(f"graph {self.path / graph.file} is refused.", faults))
        if provider == "tensorrt":
            from .engines.tensorrt import TensorRtEngine  # here, because it is the one that needs tensorrt and torch
            from .reference import Reference

            tolerances = self.manifest.reference.tolerances
            return TensorRtEngine(data, graph, Reference.from_arrays(self.reference()).graphs[role],
                                  {spec.name: tolerances[f"{role}/{spec.name}"] for spec in graph.outputs}, precision)
        return open_engine(data, graph, provider, threads, precision)

    def reference(self) -> dict[str, NDArray[Any]]:
        """The arrays of the reference file, by key (the layout stands in `verify.py`). Raises BundleError."""
        spec = self.manifest.reference
        return read_npz(_read_file(self.path, spec.file, spec.sha256), f"reference {self.path / spec.file}")

    def domain(self) -> Domain:
        """The domain that the bundle names. Raises BundleError where the two disagree about labels or attributes."""
        domain, manifest = get_domain(self.manifest.domain), self.manifest
        faults = []
        if manifest.labels.names != tuple(domain.labels.names):
            faults.append(f"labels are {list(manifest.labels.names)}, the domain's {list(domain.labels.names)}")
        unknown = [spec.name for spec in manifest.attributes if spec.name not in domain.attribute_names]
        if unknown:
            faults.append(f"attributes {unknown} are unknown, the domain knows {list(domain.attribute_names)}")
        if faults:
            raise BundleError(list_faults(f"bundle {self.path} does not fit the domain {domain.name}.", faults))
        return domain


def _read_manifest(folder: Path) -> str:
    data = _read_regular(folder, MANIFEST_FILE, _LARGEST_MANIFEST)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{folder / MANIFEST_FILE} is not UTF-8 text: {error}. Export the bundle again.") from error


def _read_file(folder: Path, name: str, digest: str) -> bytes:
    data = _read_regular(folder, name)
    _require_digest(folder / name, sha256_of_bytes(data), digest, len(data))
    return data


def _check_file(folder: Path, name: str, digest: str) -> None:
    """As `_read_file`, in constant memory."""
    with _open_regular(folder, name) as stream:
        _require_digest(folder / name, hashlib.file_digest(stream, "sha256").hexdigest(), digest, stream.tell())


def _require_digest(path: Path, found: str, expected: str, size: int) -> None:
    if found != expected:
        raise BundleError(f"{path}: sha256 is {found[:12]}..., the manifest says {expected[:12]}... ({size} bytes "
                          "found): the file was altered or truncated.")


def _read_regular(folder: Path, name: str, largest: int = _LARGEST_FILE) -> bytes:
    with _open_regular(folder, name, largest) as stream:
        return stream.read()


@contextmanager
def _open_regular(folder: Path, name: str, largest: int = _LARGEST_FILE) -> Iterator[io.BufferedReader]:
    """A regular file right in the folder; links are refused, so that nothing outside is ever read."""
    if not _PLAIN_NAME.fullmatch(name):
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
