"""The other end of `child`: a contender's process as an object."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_CHILD = (sys.executable, "-m", "cldm_runtime.bench.child")


class ContenderFailed(Exception):
    """A contender answered with an error, or its process ended. The message goes into its row."""


class Remote:
    """A process with one contender; it works only on requests."""

    def __init__(self, threads: int, log: Path | None = None, command: Sequence[str] = _CHILD) -> None:
        """threads: of numerical libraries, set in the environment. log: file for its output. command: another program
        that answers as `child` does. Raises ContenderFailed if it does not start."""
        self.started = time.perf_counter()
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
        self._log = open(log or os.devnull, "ab")  # noqa: SIM115 (closed with the process)
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                                             env=environment, text=True, encoding="utf-8")
        except OSError as error:
            self._log.close()
            raise ContenderFailed(f"{command[0]} does not start: {error.strerror}") from error

    def ask(self, request: Mapping[str, Any]) -> Json:
        """The answer to a request. Raises ContenderFailed."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(dict(request)) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise ContenderFailed(f"its process ended with status {process.wait()}; it may have run out of memory")
        answer: Json = json.loads(line)
        if "error" in answer:
            raise ContenderFailed(str(answer["error"]))
        return answer

    def load(self, factory: str, arguments: Mapping[str, Any]) -> Json:
        """Seconds of import and loading."""
        return self.ask({"factory": factory, "arguments": dict(arguments)})

    def prepare(self, batch: int) -> None:
        self.ask({"do": "prepare", "batch": batch})

    def complete(self) -> tuple[float, int]:
        """Seconds and images of one batch."""
        answer = self.ask({"do": "complete"})
        return float(answer["seconds"]), int(answer["images"])

    def estimate(self) -> dict[str, float] | None:
        """Seconds of one batch by part, estimated from a few steps; None for a contender that cannot estimate."""
        parts = self.ask({"do": "estimate"})["parts"]
        return None if parts is None else {str(name): float(value) for name, value in parts.items()}

    def facts(self) -> Json:
        """The contender's facts, and `peak_memory_bytes`."""
        answer = self.ask({"do": "facts"})
        return {**answer["facts"], "peak_memory_bytes": answer["peak_memory_bytes"]}

    def product(self, size: int) -> float:
        """Billions of operations a second of a product of two size x size matrices."""
        return float(self.ask({"do": "product", "size": size})["gflops"])

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
