"""From checkpoints to bundles. Torch stops here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cldm_runtime.errors import InputError

from ..config import Config
from ..stages.needed import owns_segmenter

if TYPE_CHECKING:
    from .generator import GeneratorExport

What = Literal["generator", "segmenter", "anatomy", "all"]
Say = Callable[[str], object]
"""Told what is being done."""


def run(config: Config, *, force: bool = False, torchscript: bool = True, what: What = "all",
        monai_compat: bool = False, say: Say = len) -> list[Path]:
    """Write the bundles of a finished run and return their folders. "all" is those that the configuration names, but
    for the segmenter of a run that uses another's codecs or distils a bundle: such a run trains none.

    monai_compat: a folder for MONAI's tools comes beside each one afterwards, and must be free too.

    Raises BundleError where a folder exists and `force` is not given, ParityError where a graph does not compute what
    torch computes, InputError where a stage has not been trained.
    """
    from .bundle_writer import refuse_to_overwrite  # here, because torch and nnU-Net take seconds to import
    from .monai_bundle import refuse_to_replace

    section = config.export
    named = {"segmenter": section.segmenter, "generator": section.generator, "anatomy": section.anatomy}
    if what != "all" and not named[what]:
        raise InputError(f"export.{what}: empty, expected the folder of the {what} bundle.")
    targets = {kind: Path(folder) for kind, folder in named.items() if folder}
    chosen = [kind for kind in targets if what == kind or (
        what == "all" and (kind != "segmenter" or owns_segmenter(config)))]
    reduced = {"int8": section.int8, "fp16": section.fp16} if "generator" in chosen else {}
    for target in (*(targets[kind] for kind in chosen), *(Path(folder) for folder in reduced.values() if folder)):
        refuse_to_overwrite(target, force=force)
        if monai_compat:
            refuse_to_replace(target, force=force)
    written = []
    if "segmenter" in chosen:
        from .segmenter import export_segmenter
        from .settings import BundleSettings

        written.append(export_segmenter(BundleSettings.of(config), config.segmenter, targets["segmenter"], force=force,
                                        torchscript=torchscript, say=say))
    if "generator" in chosen:
        written += _export_generator(config, targets["generator"], reduced, say, force=force, torchscript=torchscript)
    if "anatomy" in chosen:
        from .anatomy.bundle import export_anatomy
        from .settings import BundleSettings

        say(f"{targets['anatomy'].name}: writing the graph and comparing it with torch")
        written.append(export_anatomy(BundleSettings.of(config), config.label_vae, config.latents, targets["anatomy"],
                                      force=force, torchscript=torchscript))
    return written


def generator_export(config: Config, *, torchscript: bool = True) -> "GeneratorExport":
    """What the generator's bundle is made of, from a finished run. Raises InputError as `run`."""
    from ..conditions.kind import Design
    from ..stages.small_codec import SmallSections
    from .checkpoints import load_generator
    from .few_steps import load_few_steps
    from .gan import load_gan
    from .settings import BundleSettings

    settings, design = BundleSettings.of(config), Design.of(config)
    if config.gan.channels:
        return load_gan(settings, design, config.gan, torchscript=torchscript)
    if not config.distil.bundle:
        return load_generator(settings, design, config.texture, config.acquisition, torchscript=torchscript)
    sections = SmallSections(config.small_codec, config.texture, config.distil, design)
    return load_few_steps(settings, sections, config.finish, torchscript=torchscript)


def _export_generator(config: Config, target: Path, reduced: Mapping[str, str], say: Say, *, force: bool,
                      torchscript: bool) -> list[Path]:
    """The generator's bundle, and its versions that compute in fewer bits: precision -> folder, empty for none."""
    from .reduced.fp16 import write_fp16
    from .reduced.int8 import write_int8

    say(f"{target.name}: reading the networks")
    export = replace(generator_export(config, torchscript=torchscript), say=lambda now: say(f"{target.name}: {now}"))
    written = [export.write(target, force=force)]
    images, labels = export.training.images.numpy(), export.training.one_hot.argmax(1).byte().numpy()
    for precision, write in (("int8", write_int8), ("fp16", write_fp16)):
        if folder := reduced[precision]:
            say(f"{Path(folder).name}: the same in {precision}")
            written.append(write(target, Path(folder), images, labels, Path(config.export.segmenter), force=force))
    return written
