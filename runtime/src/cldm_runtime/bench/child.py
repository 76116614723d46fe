"""The process of one contender: `python -m cldm_runtime.bench.child`, which `remote` starts.

It reads one JSON object a line and answers each with one: first {"factory": "package.module:name", "arguments": {...}},
which makes the `Work`, then {"do": "prepare", "batch": 8}, "complete", "estimate", "facts" or "product". The answer to
a failed request is {"error": text}. Output of the work goes to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TextIO

from .machine import matrix_product_gflops, peak_memory_bytes
from .work import Work

Json = dict[str, Any]


class Contestant:
    """Answers requests about one work, and times it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._work: Work | None = None

    def answer(self, request: Mapping[str, Any]) -> Json:
        """The answer to one request; an error is an answer too."""
        try:
            return self._load(request) if "factory" in request else self._do(str(request["do"]), request)
        except Exception as error:  # a benchmark goes on without a contender that fails, and says why
            return {"error": f"{type(error).__name__}: {error}"}

    def _load(self, request: Mapping[str, Any]) -> Json:
        started = self._clock()
        module, name = str(request["factory"]).split(":")
        factory = getattr(import_module(module), name)
        imported = self._clock()
        self._work = factory(**request["arguments"])
        return {"import": imported - started, "load": self._clock() - imported}

    def _do(self, action: str, request: Mapping[str, Any]) -> Json:
        if action == "product":
            return {"gflops": matrix_product_gflops(int(request["size"]))}
        work = self._work
        if work is None:
            raise ValueError("nothing is loaded")
        if action == "prepare":
            work.prepare(int(request["batch"]))
            return {}
        if action == "facts":
            memory = peak_memory_bytes()  # before computing the facts, which takes memory too
            return {"facts": work.facts(), "peak_memory_bytes": memory}
        if action == "estimate":
            try:
                return {"parts": work.estimate()}
            except NotImplementedError:
                return {"parts": None}
        started = self._clock()
        images = work.complete()
        return {"seconds": self._clock() - started, "images": images}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer every line until there are no more."""
    contestant = Contestant()
    for line in requests:
        answers.write(json.dumps(contestant.answer(json.loads(line))) + "\n")
        answers.flush()


def main() -> None:
    """Answers go to the original stdout; all other output goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
