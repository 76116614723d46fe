"""`cldm doctor`: what is installed here, what starts, and what to install for what is missing."""

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import click

from ..bench.machine import gpus, machine
from ..engines.probe import reasons_against
from ..engines.processor import available_cores
from ..errors import ProviderError
from ..files.user_cache import cache_folder
from ..verification.installation import TRAINER, Extra, Memory, extras, free_disk, installed_version, memory
from ..version import __version__

_WIDTH = 20


@dataclass(frozen=True)
class _Findings:
    """providers: name -> why it does not start, "" for one that does. disks: folder -> free GiB."""

    machine: dict[str, Any]
    gpus: list[str]
    memory: Memory
    disks: dict[str, float | None]
    extras: list[Extra] | None  # None: the runtime runs from a folder that pip did not install
    trainer: str
    providers: dict[str, str]

    def advice(self) -> list[str]:
        """What to install for what is missing: one line for each."""
        if self.extras is None:
            return ["cldm-runtime is not installed by pip, so its packages cannot be checked. "
                    "Run: pip install './runtime[cpu]'"]
        return [f"{extra.install}{f'   # {extra.purpose}' if extra.purpose else ''}"
                for extra in self.extras if not extra.fulfilled]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def doctor(as_json: bool) -> None:
    """Say what is installed, which providers start, how much disk and memory is free, and what to install for what is
    missing. Changes nothing.

    Exits with 5 if no provider starts.

    \b
    Examples:
      cldm doctor
      cldm doctor --json
    """
    found = _examine()
    click.echo(json.dumps(_as_json(found), indent=1) if as_json else "\n".join(_lines(found)))
    if all(found.providers.values()):
        raise ProviderError("no provider starts, so no network can run here. Run: pip install 'cldm-runtime[cpu]'.")


def _examine() -> _Findings:
    try:
        known = extras()
    except PackageNotFoundError:
        known = None
    folders = {str(Path()): Path(), str(cache_folder()): cache_folder()}
    here = {**machine(), "cores": available_cores()}  # as far as a quota leaves them
    return _Findings(here, gpus(), memory(), {name: free_disk(folder) for name, folder in folders.items()}, known,
                     installed_version(TRAINER), reasons_against())


def _as_json(found: _Findings) -> dict[str, Any]:
    packages = [{"extra": extra.name, "name": each.name, "needs": each.needs, "installed": each.installed or None,
                 "fulfilled": each.fulfilled} for extra in found.extras or [] for each in extra.requirements]
    return {"cldm_runtime": __version__, "cldm_trainer": found.trainer or None, "python": platform.python_version(),
            "machine": found.machine, "gpus": found.gpus,
            "memory_gib": {"free": found.memory.free, "total": found.memory.total, "limit": found.memory.limit},
            "free_disk_gib": found.disks, "packages": packages,
            "providers": {name: {"starts": not reason, "reason": reason or None}
                          for name, reason in found.providers.items()},
            "advice": found.advice()}


def _lines(found: _Findings) -> Iterator[str]:
    yield _line("cldm-runtime", f"{__version__}, Python {platform.python_version()}")
    yield _line(TRAINER, found.trainer or "not installed (needed for training alone)")
    yield _line("machine", f"{found.machine['cpu']}, {found.machine['cores']} cores, {found.machine['os']}")
    yield from (_line("GPU", gpu) for gpu in found.gpus or ["none that nvidia-smi lists"])
    limit = f"; at most {found.memory.limit:g} GiB for this process" if found.memory.limit else ""
    yield _line("memory", f"{_gib(found.memory.free)} free of {_gib(found.memory.total)}{limit}")
    yield from (_line("disk", f"{_gib(free)} free at {folder}") for folder, free in found.disks.items())
    yield "\npackages"
    for extra in found.extras or []:
        yield from (_line(f"  {extra.name or 'always'}", f"{each.name} {each.installed or 'is missing'} "
                          f"(needs {each.needs or 'any'})") for each in extra.requirements)
    yield "\nproviders"
    yield from (_line(f"  {name}", _short(name, reason) if reason else "starts")
                for name, reason in found.providers.items())
    if advice := found.advice():
        yield "\nto install what is missing, where you need it"
        yield from (f"  {line}" for line in advice)


def _short(provider: str, reason: str) -> str:
    """Why a provider does not start, without what was requested, in one line."""
    return "does not start: " + reason.splitlines()[0].removeprefix(f"provider {provider} was requested, but ")


def _line(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _gib(value: float | None) -> str:
    return "an unknown amount" if value is None else f"{value:g} GiB"
