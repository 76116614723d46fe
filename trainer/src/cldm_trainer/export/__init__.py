"""From checkpoints to bundles. Torch stops here."""

from pathlib import Path
from typing import Literal

from cldm_runtime.errors import InputError

from ..config import Config

What = Literal["generator", "segmenter", "anatomy", "all"]


def run(config: Config, *, force: bool = False, torchscript: bool = True, what: What = "all") -> list[Path]:
    """Write the bundles of a finished run and return their folders. "all" is those that the configuration names, but
    for the segmenter of a run that uses another's codecs or distils a bundle: it has none of its own.

    Raises BundleError where a bundle exists and `force` is not given, ParityError where a graph does not compute what
    torch computes, InputError where a stage has not been trained.
    """
    from .bundle_writer import refuse_to_overwrite  # here, because torch and nnU-Net take seconds to import

    section = config.export
    named = {"segmenter": section.segmenter, "generator": section.generator, "anatomy": section.anatomy}
    if what != "all" and not named[what]:
        raise InputError(f"export.{what}: empty, expected the folder of the {what} bundle.")
    targets = {kind: Path(folder) for kind, folder in named.items() if folder}
    chosen = [kind for kind in targets if what == kind or (
        what == "all" and not (kind == "segmenter" and (config.run.codecs or config.distil.bundle)))]
    int8 = Path(section.int8) if section.int8 and "generator" in chosen else None
    for target in (*(targets[kind] for kind in chosen), *([int8] if int8 else [])):
        refuse_to_overwrite(target, force=force)
    written = []
    if "segmenter" in chosen:
        from .segmenter import export_segmenter

        written.append(export_segmenter(config, targets["segmenter"], force=force, torchscript=torchscript))
    if "generator" in chosen:
        from .checkpoints import load_generator
        from .few_steps import load_few_steps

        load = load_few_steps if config.distil.bundle else load_generator
        export = load(config, torchscript=torchscript)
        written.append(export.write(targets["generator"], force=force))
        if int8:
            from .int8 import write_int8

            images, labels = export.training.images.numpy(), export.training.one_hot.argmax(1).byte().numpy()
            written.append(write_int8(targets["generator"], int8, images, labels, Path(section.segmenter), force=force))
    if "anatomy" in chosen:
        from .anatomy import export_anatomy

        written.append(export_anatomy(config, targets["anatomy"], force=force, torchscript=torchscript))
    return written
