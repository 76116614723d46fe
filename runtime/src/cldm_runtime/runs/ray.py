"""Ray: one task for each shard, on any node with room. The driver reports the progress, and merges.

Tasks receive only paths, hashes and numbers. All nodes must see the folder of `out` and the bundle. Only this module
imports ray, and only when it is used.
"""

from typing import Any

from ..errors import CldmError, ProviderError, WorkerError
from .execute import check, do_shard, merge_parts
from .run import Progress, Run
from .shards import Shard

INSTALL = "pip install 'cldm-runtime[ray]'"
RETRIES = 3  # of a shard whose worker or node was lost


def run_on_ray(run: Run, shards: int, address: str | None = None, progress: Progress | None = None) -> None:
    """Carry out a run on a Ray cluster; its file has the bytes of a run on one machine.

    shards: number of tasks; each takes a core, or a GPU if the provider runs on one. address: of the cluster; None:
    that of the environment, else a cluster of this machine alone. progress: receives the samples of finished shards,
    and of all shards. Raises ProviderError if ray or a cluster is missing, WorkerError for a shard that was lost too
    often, and the errors of `do_shard` and `merge_parts`. Committed parts stay, and the same call resumes the run.
    """
    ray = _import_ray()
    if run.is_finished():
        return
    check(run)
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ProviderError(f"ray: {address or 'a cluster'} cannot be reached ({error}).") from error
    try:
        _do_shards(ray, run.absolute().for_workers(shards), shards, progress)
    finally:
        if started:
            ray.shutdown()
    merge_parts(run)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ProviderError(f"--engine ray needs ray, which is not installed. Run: {INSTALL}") from error
    return ray


def _do_shards(ray: Any, run: Run, count: int, progress: Progress | None) -> None:
    takes = {"num_gpus": 1} if run.on_gpu else {"num_cpus": 1}
    task = ray.remote(**takes, max_retries=RETRIES)(_shard)
    recipe = ray.put((run, run.sha256))
    pending = {task.remote(recipe, Shard(number, count)): number for number in range(count)}
    sizes = [sum(map(len, Shard(number, count).of(run.ranges))) for number in range(count)]
    done = 0
    while pending:
        (ready, *_), _ = ray.wait(list(pending))
        number = pending.pop(ready)
        try:
            failure = ray.get(ready)
        except ray.exceptions.RayError as error:
            raise WorkerError(f"{run.out}: shard {number}/{count} was lost {RETRIES + 1} times "
                              f"({type(error).__name__}). {run.kept}") from error
        if failure is not None:
            raise failure
        done += sizes[number]
        if progress:
            progress(done, run.samples)


def _shard(recipe: tuple[Run, str], shard: Shard) -> CldmError | None:
    """One task. It returns an error of this package as its result, because ray would repeat a task that raises."""
    run, sha256 = recipe
    try:
        if run.sha256 != sha256:
            raise run.altered()
        do_shard(run, shard)
    except CldmError as error:
        return error
    return None
