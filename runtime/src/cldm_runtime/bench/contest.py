"""Contenders against each other: each at its best batch size, timed in turn, round after round, in one run.

Every contender has two processes: one in which its first image is timed and batch sizes are tried, and a fresh one for
the rounds, whose peak memory is that of the best batch size only. The processes of the rounds stay alive until the end
of the rounds; one of them works at a time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .remote import ContenderFailed

BATCHES = (1, 2, 4, 8, 16, 32)
Say = Callable[[str], None]
Progress = Callable[[int, int], None]
"""Called with the runs that are done and with those of the whole contest."""


@dataclass(frozen=True)
class Contender:
    """factory and arguments: see `child`. describes: facts for its row, in addition to those of its `Work`. batches:
    sizes to try; empty: those of the options. batch_of: the contender whose batch size this one takes. extrapolate: its
    rounds time a few steps of its sampling loop, and the time of the whole loop is computed from them. check: time the
    whole once, after the rounds. program: a program that answers instead of Python's `child`, with its protocol."""

    name: str
    kind: str
    factory: str
    arguments: Mapping[str, Any]
    describes: Mapping[str, Any] = field(default_factory=dict)
    batches: tuple[int, ...] = ()
    batch_of: str = ""
    extrapolate: bool = False
    check: bool = False
    program: str = ""


@dataclass(frozen=True)
class ContestOptions:
    """seconds: the least duration of each turn, which consists of whole batches."""

    rounds: int = 5
    seconds: float = 0.0
    batches: tuple[int, ...] = BATCHES
    threads: int = 2


@dataclass
class Timed:
    """The figures of one contender. first: seconds to its first image in a fresh process, and of import and loading.
    scan: batch size -> images a second. seconds: of one image, in every round. turns: the position of each round's turn
    in the sequence of all turns of the run. error: why there are no figures."""

    contender: Contender
    first: dict[str, float] = field(default_factory=dict)
    scan: dict[int, float] = field(default_factory=dict)
    batch: int = 0
    seconds: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    parts: dict[str, float] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    check: dict[str, float] | None = None
    error: str | None = None


@dataclass(frozen=True)
class Contest:
    """products: billions of operations a second of a matrix product before, in the middle of and after the rounds."""

    timed: list[Timed]
    products: list[float]


class Opened(Protocol):
    """A contender's process, see `remote.Remote`."""

    started: float

    def load(self, factory: str, arguments: Mapping[str, Any]) -> dict[str, Any]: ...

    def prepare(self, batch: int) -> None: ...

    def complete(self) -> tuple[float, int]: ...

    def estimate(self) -> dict[str, float] | None: ...

    def facts(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


Start = Callable[[str], Opened]
"""Starts the process of a contender: its `program`, or Python's `child` for ""."""


def run_contest(contenders: Sequence[Contender], options: ContestOptions, start: Start, product: Callable[[], float],
                say: Say = lambda text: None, clock: Callable[[], float] = time.perf_counter,
                progress: Progress = lambda done, total: None) -> Contest:
    """Try batch sizes, then time all contenders in turn. `start` starts a process, `product` times a matrix product.

    A contender that fails keeps its error and is not timed any more.
    """
    results = [Timed(contender) for contender in contenders]
    steps = _Steps(results, options, progress)
    products = [product()]
    for timed in results:
        say(f"{timed.contender.name}: batch sizes ...")
        _guarded(timed, _try_batches, timed, results, options, start, clock)
        steps.tried(timed.contender)
    opened: dict[int, Opened] = {}
    try:
        for number, timed in enumerate(results):
            if timed.error is None:
                opened[number] = start(timed.contender.program)
                _guarded(timed, _warm_up, timed, opened[number])
        _rounds(results, opened, options, products, product, say, steps)
        for number, timed in enumerate(results):
            if timed.error is None:
                _guarded(timed, _finish, timed, opened[number], say)
    finally:
        for process in opened.values():
            process.close()
    products.append(product())
    return Contest(results, products)


class _Steps:
    """How many runs are done: two of each batch size that is tried, and one a round. Those that fail count too."""

    def __init__(self, results: Sequence[Timed], options: ContestOptions, progress: Progress) -> None:
        self._sizes, self._progress, self._done = len(options.batches), progress, 0
        self._total = sum(self._trials(timed.contender) for timed in results) + options.rounds * len(results)

    def tried(self, contender: Contender) -> None:
        self._add(self._trials(contender))

    def turned(self) -> None:
        self._add(1)

    def _trials(self, contender: Contender) -> int:
        return 1 if contender.batch_of else 2 * (len(contender.batches) or self._sizes)

    def _add(self, runs: int) -> None:
        self._done += runs
        self._progress(self._done, self._total)


def _guarded(timed: Timed, work: Callable[..., None], *arguments: Any) -> None:
    """Do some work; if the contender fails, store its error and let the others go on."""
    try:
        work(*arguments)
    except ContenderFailed as error:
        timed.error = str(error)


def _try_batches(timed: Timed, results: Sequence[Timed], options: ContestOptions, start: Start,
                 clock: Callable[[], float]) -> None:
    """Time the first image of a fresh process, then every batch size; one that fails ends the search."""
    contender, process = timed.contender, start(timed.contender.program)
    try:
        loaded = process.load(contender.factory, contender.arguments)
        process.prepare(1)
        process.complete()
        timed.first = {"seconds": clock() - process.started, **{name: float(value) for name, value in loaded.items()}}
        if contender.batch_of:
            timed.batch = next((other.batch for other in results if other.contender.name == contender.batch_of), 1) or 1
            return
        for batch in contender.batches or options.batches:
            try:
                process.prepare(batch)
                _once(process)
                timed.scan[batch] = 1.0 / _once(process)
            except ContenderFailed:
                if not timed.scan:
                    raise
                break
        timed.batch = max(timed.scan, key=lambda batch: timed.scan[batch])
    finally:
        process.close()


def _once(process: Opened) -> float:
    """Seconds of one image, estimated if the contender can estimate."""
    seconds, images = _estimated(process) or process.complete()
    return seconds / images


def _estimated(process: Opened) -> tuple[float, int] | None:
    parts = process.estimate()
    return None if parts is None else (sum(value for name, value in parts.items() if name != "images"),
                                       int(parts["images"]))


def _warm_up(timed: Timed, process: Opened) -> None:
    process.load(timed.contender.factory, timed.contender.arguments)
    process.prepare(timed.batch)
    if timed.contender.extrapolate:
        process.estimate()
    else:
        process.complete()


def _rounds(results: Sequence[Timed], opened: Mapping[int, Opened], options: ContestOptions, products: list[float],
            product: Callable[[], float], say: Say, steps: _Steps) -> None:
    """Rounds with one turn of every contender each. The matrix product is timed in the middle."""
    turn = 0
    for count in range(options.rounds):
        say(f"round {count + 1} of {options.rounds} ...")
        if count == options.rounds // 2:
            products.append(product())
        for number, timed in enumerate(results):
            if timed.error is None:
                _guarded(timed, _turn, timed, opened[number], options)
                timed.turns.append(turn)
                turn += 1
            steps.turned()


def _turn(timed: Timed, process: Opened, options: ContestOptions) -> None:
    """Time one image, over whole batches for at least the seconds of the options."""
    if timed.contender.extrapolate:
        timed.seconds.append(_once(process))
        return
    spent, images = 0.0, 0
    while not images or spent < options.seconds:
        seconds, count = process.complete()
        spent, images = spent + seconds, images + count
    timed.seconds.append(spent / images)


def _finish(timed: Timed, process: Opened, say: Say) -> None:
    """Store the times of a batch's parts, the check of an extrapolated time, and the contender's facts."""
    parts = process.estimate()
    if parts is not None:
        images = parts.pop("images")
        timed.parts = {name: seconds / images for name, seconds in parts.items()}
    if timed.contender.check:
        say(f"{timed.contender.name}: once in full ...")
        seconds, images = process.complete()
        timed.check = {"images": images, "seconds": seconds, "seconds_per_image": seconds / images}
    timed.facts = process.facts()
