"""The user's cache folder. It holds measurements, and engines compiled on this machine, which are run as code."""

import os
from pathlib import Path

from ..errors import ProviderError


def cache_folder() -> Path:
    """The folder of measurements and compiled engines: $CLDM_CACHE, else $XDG_CACHE_HOME/cldm, else ~/.cache/cldm.
    It need not exist."""
    if folder := os.environ.get("CLDM_CACHE"):
        return Path(folder)
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path(os.path.expanduser("~")) / ".cache") / "cldm"


def private_folder(name: str) -> Path:
    """A folder in the cache that nobody else can write to. It is made if missing. Raises ProviderError."""
    folder = cache_folder() / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise ProviderError(f"{folder}: compiled engines cannot be stored there ({error.strerror}). Set CLDM_CACHE to "
                            "a folder of your own.") from error
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022 or folder.is_symlink()):
        raise ProviderError(f"{folder}: others own it or may write to it, and the engines in it are run as code. "
                            f"Expected a folder of your own: chmod 700 {folder}, or set CLDM_CACHE to another one.")
    return folder
