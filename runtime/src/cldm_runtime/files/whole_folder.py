"""A folder that appears whole or not at all: written beside its place under a temporary name, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from .atomic import keep_rights
from .partial import new_partial, remove_left_behind

_FOLDER = ".folder"  # after the name of the locked file that says that somebody writes to it


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder, which becomes `target` when the block ends without an error, and is removed otherwise. A folder
    that is there is replaced. Raises OSError."""
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(target)
    lock = new_partial(target, 0o600)
    draft = Path(f"{lock.path}{_FOLDER}")
    try:
        draft.mkdir()
        yield draft
        _replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        lock.remove()


def _replace(draft: Path, target: Path) -> None:
    """The old folder keeps its name until the new one can take it, and comes back if that fails."""
    old = Path(f"{draft}-old")
    if target.exists():
        keep_rights(draft, target)
        target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_left_behind(target: Path) -> None:
    """Remove the unfinished folders of writers that have ended; the lock of one that goes on is there."""
    remove_left_behind(target.parent, target)
    for folder in target.parent.glob(f"{escape(target.name)}.*.partial{_FOLDER}"):
        with suppress(OSError):
            if not Path(str(folder).removesuffix(_FOLDER)).exists():
                shutil.rmtree(folder)
