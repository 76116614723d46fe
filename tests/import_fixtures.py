"""Small networks as other programs leave them, and descriptions of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

SIZES = {"channels": [8, 16], "norm_num_groups": 4}
CODEC = {**SIZES, "num_res_blocks": 1, "attention_levels": [False, True], "latent_channels": 2}
UNET = {**SIZES, "num_res_blocks": 1, "attention_levels": [False, True], "num_head_channels": 8}
CONTROL = {"conditioning_embedding_num_channels": [4, 8]}
SEEN = {"background": 0, "lv_cavity": 0, "healthy_myocardium": 1, "infarct": 2, "mvo": 2}
HEAD = """
[bundle]
licence = "CC0-1.0"
nature = "phantom"
[image]
shape = [32, 32]
spacing_mm = [3.0, 3.0]
[schedule]
timesteps = 20
[sampling]
steps = 2
"""


def filled(network: nn.Module, seed: int = 0) -> nn.Module:
    """With weights that are all different from those that networks begin with, such as zero convolutions."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return network.eval()


def section(name: str, weights: str, options: Mapping[str, Any], more: str = "") -> str:
    """[name] with the file of its weights, and [name.options]."""
    lines = "\n".join(f"{key} = {_toml(value)}" for key, value in options.items())
    return f'[{name}]\nweights = "{weights}"\n{more}\n[{name}.options]\n{lines}\n'


def condition(kind: str = "concatenated", labels: Mapping[str, float] = SEEN, more: str = "") -> str:
    pairs = ", ".join(f"{key} = {value}" for key, value in labels.items())
    return f'[condition]\nkind = "{kind}"\n{f"labels = {{{pairs}}}" if labels else ""}\n{more}\n'


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | list) else repr(value)


def save(network: nn.Module, file: Path) -> nn.Module:
    torch.save(network.state_dict(), file)
    return network


def write(folder: Path, *parts: str, head: str = HEAD) -> Path:
    file = folder / "networks.toml"
    file.write_text(head + "".join(parts))
    return file


def one_hot(shape: tuple[int, ...] = (32, 32), classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random label maps of lge, and the numbers of `SEEN`, (2, 1, *shape)."""
    labels = torch.randint(0, classes, (2, *shape), generator=torch.Generator().manual_seed(0))
    numbers = torch.tensor(list(SEEN.values()))[labels][:, None].float()
    return nn.functional.one_hot(labels, classes).movedim(-1, 1).float(), numbers
