"""How much faster a run is on two single-core workers of Ray than on one, on this machine alone.

    python tests/reliability/ray_speed.py --samples 1536 --times 3

Each worker is a Ray node with one CPU that is held to a core of its own, with all that it starts; a task alone takes
little more than a core, for its second thread, which draws label maps, has 2 % of the work. Driver and head may use any
core. Counted is `run_on_ray` from call to return: tasks, one for each part of the run, each of which opens the
bundle's networks anew, and the merge by the driver. Not counted are the start of nodes and a first short run, in which
Ray starts its workers and these import what they need. Prints JSON: the seconds of all runs, the cores that workers
used meanwhile, and the speed-up, of medians; ends with 1 where the bytes differ. For Linux, on a quiet machine of two
cores and more.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cldm_runtime import Generator
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import Generation
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.runs.ray import run_on_ray

ROOT = Path(__file__).parents[2]
_STORE_BYTES = 100_000_000  # of a node's shared memory: a task is handed some kilobytes
# Nodes of one machine find each other at the loopback address: a firewall may close any other. Workers are not nice:
# at Ray's 15, whatever else runs on the core of one would leave it next to nothing.
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_worker_niceness="0")


def plan_of(samples: int) -> Plan:
    model = Generator.load(ROOT / "exported/lge", threads=1)
    grid = read_grid(ROOT / "examples/grid.csv", model.domain)
    return Plan(model, GridRequests.spread(grid, samples, model.canvas), samples, 0, model.settings())


def add_worker(cluster: Any, core: int) -> int:
    """A node that is held to a core; the process that starts its workers."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
    finally:
        os.sched_setaffinity(0, cores)
    return int(node.all_processes["raylet"][0].process.pid)


def processor_seconds(process: int) -> float:
    """Of a process and its descendants that have not ended."""
    try:
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
        children = [child for task in Path(f"/proc/{process}/task").iterdir()
                    for child in (task / "children").read_text().split()]
    except OSError:
        return 0.0
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK") + sum(processor_seconds(int(child)) for child in children)


def timed(plan: Plan, out: Path, nodes: Sequence[int], times: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"seconds": [], "cores used": []}
    for _ in range(times):
        out.unlink(missing_ok=True)
        before, begun = sum(map(processor_seconds, nodes)), time.perf_counter()
        run_on_ray(Generation(plan, out), len(plan.parts))
        seconds = time.perf_counter() - begun
        used = (sum(map(processor_seconds, nodes)) - before) / seconds
        found["seconds"].append(round(seconds, 2))
        found["cores used"].append(round(used, 2))
    return found


def measure(samples: int, times: int, folder: Path) -> dict[str, Any]:
    import ray
    from ray.cluster_utils import Cluster

    cores, nodes, found, files = sorted(os.sched_getaffinity(0))[:2], [], dict[str, Any](), []
    load, plan, short = os.getloadavg()[0], plan_of(samples), plan_of(256)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": _STORE_BYTES})
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        for count, core in enumerate(cores, 1):
            nodes.append(add_worker(cluster, core))
            cluster.wait_for_nodes()
            files.append(folder / f"{count}.h5")
            timed(short, folder / f"short-{count}.h5", nodes, 1)
            found[f"{count} workers"] = timed(plan, files[-1], nodes, times)
    finally:
        ray.shutdown()
        cluster.shutdown()
    one, two = (statistics.median(found[f"{count} workers"]["seconds"]) for count in (1, 2))
    return {"samples": samples, "tasks": len(plan.parts), "load before": round(load, 2), **found,
            "speed_up": round(one / two, 3), "same bytes": files[0].read_bytes() == files[1].read_bytes()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1536)
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.samples, given.times, Path(folder))
    print(json.dumps(found))
    return int(not found["same bytes"])


if __name__ == "__main__":
    sys.exit(main())
