"""A Ray cluster of two nodes on this machine, one of which is removed by force in mid-run; what was generated is then
evaluated on the other. Started by test_clusters."""

import os
import sys
import threading
import time
from pathlib import Path

from cldm_runtime import Generator, Segmenter
from cldm_runtime.evaluation.run import Evaluation, evaluate_dataset
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import Generation, generate_dataset, parts_folder
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.runs.ray import run_on_ray

# Nodes of one machine find each other at the loopback address; a firewall may close any other. Workers are not nice, so
# that on a busy machine they get their share.
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_worker_niceness="0")


def main(bundle: str, segmenter: str, folder: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    model = Generator.load(bundle, threads=1)
    grid = grid_from_mapping({"infarct_size": [0.1, 0.2]}, model.domain)
    plan = Plan(model, GridRequests.spread(grid, 768, model.canvas), 768, 3, model.settings(batch_size=4))
    expected = generate_dataset(plan, folder / "one.h5").read_bytes()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    out = folder / "ray.h5"

    def lose_one() -> None:
        while len(list(parts_folder(out).glob("part-*.h5"))) < 4:
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)
        print(f"one node was removed after {len(list(parts_folder(out).glob('part-*.h5')))} of {len(plan.parts)} parts")

    loser = threading.Thread(target=lose_one)
    loser.start()
    run_on_ray(Generation(plan, out), 16)
    loser.join()
    assert out.read_bytes() == expected
    evaluate_dataset(folder / "one.h5", Segmenter.load(segmenter, threads=1))
    run_on_ray(Evaluation(out, Segmenter.load(segmenter, threads=1)), 4)
    assert out.read_bytes() == (folder / "one.h5").read_bytes() != expected
    print("the bytes are the same as those of one process")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
