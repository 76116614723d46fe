"""Ray: a task for each shard, wherever the cluster has room; the driver tells how far the run is, and merges.

Only the plan's recipe travels: paths, hashes and numbers. The folder of `out` and the bundle must be seen by all nodes.
The only module that imports ray, and only when it is asked for.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..engines import CPU_PROVIDERS
from ..errors import BundleError, CldmError, ProviderError, WorkerError
from ..generate import check_output, generate_shard, is_finished, merge_shards
from ..plan import Plan
from ..shards import Shard

INSTALL = "pip install 'cldm-runtime[ray]'"
RETRIES = 3  # of a shard whose worker or node was lost
Progress = Callable[[int, int], None]


def generate_on_ray(plan: Plan, out: Path, shards: int, address: str | None = None,
                    progress: Progress | None = None) -> Path:
    """Carry out a plan on a Ray cluster, and return the file, which has the bytes of a run on one machine.

    shards: tasks that the run is cut into; each takes a core, or a GPU where the provider runs on one. address: of the
    cluster; None: that of the environment, else a cluster of this machine alone. progress: told the samples of finished
    shards, and those of all. Raises ProviderError where ray or a cluster is missing, WorkerError for a shard that was
    lost too often, and what `generate_shard` and `merge_shards` raise; what is committed stays for the same call again.
    """
    ray = _import_ray()
    if is_finished(plan, out, "resume"):
        return out
    check_output(plan, out, "resume")
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ProviderError(f"ray: {address or 'a cluster'} cannot be reached ({error}).") from error
    try:
        _do_shards(ray, plan.on_one_thread(), out.absolute(), shards, progress)
    finally:
        if started:
            ray.shutdown()
    return merge_shards(plan, out)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ProviderError(f"--engine ray needs ray, which is not installed. Run: {INSTALL}") from error
    return ray


def _do_shards(ray: Any, plan: Plan, out: Path, count: int, progress: Progress | None) -> None:
    takes = {"num_cpus": 1} if plan.generator.provider in CPU_PROVIDERS else {"num_gpus": 1}
    task = ray.remote(**takes, max_retries=RETRIES)(_shard)
    recipe = ray.put((plan, plan.sha256))
    pending = {task.remote(recipe, out, Shard(number, count)): number for number in range(count)}
    sizes = [sum(map(len, Shard(number, count).of(plan.parts))) for number in range(count)]
    done = 0
    while pending:
        (ready, *_), _ = ray.wait(list(pending))
        number = pending.pop(ready)
        try:
            failure = ray.get(ready)
        except ray.exceptions.RayError as error:
            raise WorkerError(f"{out}: shard {number}/{count} was lost {RETRIES + 1} times ({type(error).__name__}). "
                              "Run the same command again: what is there is kept.") from error
        if failure is not None:
            raise failure
        done += sizes[number]
        if progress:
            progress(done, plan.samples)


def _shard(recipe: tuple[Plan, str], out: Path, shard: Shard) -> CldmError | None:
    """One task. An error of ours is an answer: trying again would not mend it."""
    plan, sha256 = recipe
    try:
        if plan.sha256 != sha256:
            raise BundleError(f"bundle {plan.generator.bundle.path}: it, or what is asked of it, is another one on "
                              "this node. Share one folder among all nodes.")
        generate_shard(plan, out, shard)
    except CldmError as error:
        return error
    return None
