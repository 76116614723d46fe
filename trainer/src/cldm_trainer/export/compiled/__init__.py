"""A generator's networks as native code of this machine (torch.export and AOTInductor), for users of torch.

    network = torch._inductor.aoti_load_package("runs/<name>/compiled/denoiser.pt2")
    prediction = network(x, timestep, condition)  # contiguous tensors: other strides give wrong numbers, unsaid

A .pt2 file is a program, compiled for this processor and this version of torch. It is never part of a bundle.
"""

from collections.abc import Callable

from ...config import Config

FOLDER = "compiled"


def run(config: Config, *, batch_size: int, say: Callable[[str], None]) -> str:
    """Compile every network of the run's generator to <run folder>/compiled/<role>.pt2, check each against torch, and
    time those that do nearly all of the work, into compiled/speed.json. Returns the table of times.

    batch_size: of the timing alone; compiled networks take any. say: told what is done. Raises ProviderError without a
    C++ compiler, InputError naming a stage that has not been trained, ParityError, and keeps nothing of that network,
    where it does not compute what torch computes.
    """
    import torch  # here, because torch takes seconds to import

    from ..checkpoints import load_generator
    from ..few_steps import load_few_steps
    from .package import compile_network, require_compiler
    from .speed import time_networks

    require_compiler()
    torch.set_num_threads(config.run.threads)  # stands in the compiled code
    export = (load_few_steps if config.distil.bundle else load_generator)(config)
    folder, examples = config.run_folder / FOLDER, export.example_inputs()
    folder.mkdir(parents=True, exist_ok=True)
    compiled = {}
    for role, module in export.networks.modules().items():
        say(f"{role}: compiling, a minute or two")
        cases = {kind: by_role[role] for kind, by_role in examples.items()}
        path = folder / f"{role}.pt2"
        compiled[role] = compile_network(role, module, cases, config.export.parity_tolerance, path)
        say(f"{path}: agrees with torch")
    say(f"timing in turn, batches of {batch_size}, {config.run.threads} threads")
    return time_networks(export, compiled, examples["real"], batch_size, folder / "speed.json")
