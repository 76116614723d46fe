"""The section [bench] of a configuration."""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class BenchConfig:
    """A sampling is "sampler steps", such as "ddim 8", with the guidance that its bundle has by default."""

    bundles: dict[str, str] = dataclasses.field(default_factory=dict)  # name -> folder; empty: export.generator
    providers: tuple[str, ...] = ("cpu", "openvino")  # that every bundle's own sampling is timed on
    many_steps: str = ""  # the bundle of `samplings` and of the loops in torch; empty: the last one
    samplings: tuple[str, ...] = ("ddim 4", "ddim 8", "ddim 25", "dpm++2m 8", "dpm++2m 16", "unipc 8",
                                  "ddpm 1000")  # of many_steps
    torch_samplings: tuple[str, ...] = ("ddim 50", "ddim 25", "dpm++2m 50", "dpm++2m 25")  # diffusers' schedulers
    paper: str = "trainer/configs/phantom-paper.toml"  # sizes of the networks that MONAI's inferer is given
    monai_samplings: tuple[str, ...] = ("ddpm 1000", "ddim 50")  # of MONAI's inferer
    segmenter_slices: int = 64  # [images] that segmenters are timed on
    quality: bool = True  # images of every sampling are made and measured, once
    rounds: int = 5  # how often each contender is timed
    seconds: float = 0.0  # [s] that each turn lasts at least
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)  # [images] batch sizes to try; the fastest is timed
