"""Files that appear whole or not at all: written under a temporary name, then renamed."""

import os
import socket
import tempfile
from pathlib import Path

from ..errors import DatasetError, InputError


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or none: under a temporary name first, then renamed. Raises InputError."""
    partial = None
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.",
                                         suffix=".partial", delete=False) as stream:
            partial = Path(stream.name)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.chmod(0o644)  # temporary files are private
        partial.replace(path)
    except OSError as error:
        if partial is not None:
            partial.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror or error}). Choose a folder that you may write "
                         "to and that has space.") from error


def partial_name(target: Path) -> Path:
    """A name beside the target that no other process, on this host or another, gives to a file of its own."""
    return target.with_name(f"{target.name}.{socket.gethostname()}-{os.getpid()}.partial")


def was_left_behind(partial: Path) -> bool:
    """Whether the process that wrote a `partial_name` on this host has ended. One of another host is not judged."""
    host, _, process = partial.name.removesuffix(".partial").rpartition("-")
    if not process.isdecimal() or not host.endswith(f".{socket.gethostname()}"):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return int(process) == os.getpid()


def publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, atomically and durably. Raises DatasetError if the name is taken."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    if overwrite:
        partial.replace(target)
    else:
        try:
            os.link(partial, target)  # unlike a rename, fails when somebody else has made the file meanwhile
        except FileExistsError as error:
            raise DatasetError(f"{target}: was made by another process meanwhile. Choose another name.") from error
        except OSError:  # a file system without hard links: the check and the rename are then two steps
            if target.exists():
                raise
            partial.replace(target)
        else:
            partial.unlink()
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
