"""The processes that train one model together, and what the first of them does alone.

Each holds the whole model and learns from its share of every batch; gradients are averaged (torch's
DistributedDataParallel, by Lightning Fabric). A process without others passes through every function here at once.
"""

import functools
import logging
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, distributed

from cldm_runtime.errors import CldmError, InputError, ProviderError

from ..config import RunConfig
from . import launch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_PATIENCE = timedelta(days=30)  # of those that wait while the first validates, or carries out a whole stage


class _Others:
    """What this process knows of the others: the group in which they wait for each other, which is gloo's also where
    gradients go by NCCL; None without others, and while the first works alone."""

    group: Any = None


def join(run: RunConfig) -> Fabric:
    """Fabric on the devices of a run. Where it has several processes, this one joins the others, once.

    Raises InputError where the processes were not started as the run says, ProviderError for devices that are not
    there.
    """
    several, (starter, _) = launch.several(run), launch.started_by()
    if several and not starter:
        raise InputError(f"run.devices = {run.devices}, run.nodes = {run.nodes}: only `cldm-train`, srun and torchrun "
                         "start several processes. Set both to 1, or use the command.")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it reports every process that starts
    precision: Any = run.precision  # Fabric names each string that it takes
    try:
        # No batch norm of ours is used with its running statistics, so each process may keep its own.
        strategy = DDPStrategy(forward_sync_buffers=False) if several else "auto"
        fabric = Fabric(accelerator=run.accelerator, devices=run.devices, num_nodes=run.nodes, precision=precision,
                        strategy=strategy, plugins=[_environment(starter if several else "")])
    except (MisconfigurationException, RuntimeError) as error:
        raise ProviderError(f"run.accelerator = {run.accelerator!r} with {run.devices} devices: {error} Set "
                            'run.accelerator = "cpu", or run.devices to the GPUs of this machine, if torch sees them.'
                            ) from error
    try:
        fabric.launch()
    except ValueError as error:  # Slurm's tasks are not those of the run
        raise InputError(str(error)) from error
    torch.set_num_threads(run.threads)
    # A tensor of one channel is contiguous and channels-last at once; which of the two its gradient says is no matter.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if several and _Others.group is None:
        _Others.group = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return fabric


def _environment(starter: str) -> ClusterEnvironment:
    """Explicit, because Fabric takes any job of Slurm for one that srun started."""
    if starter == "torchrun":
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if starter == "srun" else LightningEnvironment()


def in_first(work: Callable[[], Result]) -> Result:
    """What `work` returns, done by the first process while the others wait.

    Where it fails there, the others leave with its exit code and without a word.
    """
    group = _Others.group
    if group is None:
        return work()
    message: list[Any] = [None, 1]
    if distributed.get_rank() == 0:
        _Others.group = None
        try:
            message = [work(), 0]
        except CldmError as error:
            message[1] = error.exit_code
            raise
        finally:
            _Others.group = group
            distributed.broadcast_object_list(message, src=0, group=group)
    else:
        distributed.broadcast_object_list(message, src=0, group=group)
        if message[1]:
            raise SystemExit(message[1])
    result: Result = message[0]
    return result


def by_first(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function whose every call is carried out `in_first`."""
    @functools.wraps(work)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return in_first(lambda: work(*args, **kwargs))

    return call


def any_of_them(mine: bool) -> bool:
    """Whether any process says so: the same answer in all."""
    if _Others.group is None:
        return mine
    answer = torch.tensor([mine], dtype=torch.int32)
    distributed.all_reduce(answer, distributed.ReduceOp.MAX, group=_Others.group)
    return bool(answer)


def total(part: Tensor) -> Tensor:
    """The sum of what every process has.

    Its gradient is that of a loss of such sums alone, the same in every process: each takes its own part's, as many
    times as there are processes, and the average over them is the whole one.
    """
    if _Others.group is None:
        return part
    whole = part.detach().clone()
    distributed.all_reduce(whole)
    scaled = part * distributed.get_world_size()
    return scaled + (whole - scaled.detach())
