"""From checkpoints to bundles. Torch stops here."""

from pathlib import Path
from typing import Literal

from ..config import Config

What = Literal["generator", "segmenter", "all"]


def run(config: Config, *, force: bool = False, torchscript: bool = False, what: What = "all") -> list[Path]:
    """Write the bundles of a finished run and return their folders. A run that uses another's codecs has no segmenter
    of its own: "all" is its generator.

    Raises BundleError where a bundle exists and `force` is not given, ParityError where a graph does not compute what
    torch computes, InputError where a stage has not been trained.
    """
    from .bundle_writer import refuse_to_overwrite  # here, because torch and nnU-Net take seconds to import

    targets = {"segmenter": Path(config.export.segmenter), "generator": Path(config.export.generator)}
    if what == "all" and config.run.codecs:
        what = "generator"
    chosen = [kind for kind in targets if what in (kind, "all")]
    for kind in chosen:
        refuse_to_overwrite(targets[kind], force=force)
    written = []
    if "segmenter" in chosen:
        from .segmenter import export_segmenter

        written.append(export_segmenter(config, targets["segmenter"], force=force, torchscript=torchscript))
    if "generator" in chosen:
        from .checkpoints import load_generator

        export = load_generator(config, torchscript=torchscript or config.export.torchscript)
        written.append(export.write(targets["generator"], force=force))
    return written
