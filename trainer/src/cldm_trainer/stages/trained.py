"""What the stages of a run have made, for its condition.

    <run folder>/conditions/<condition>.safetensors    <subset>.values, <subset>.defined: one row for each latent
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from ..conditions.kind import SUBSETS, Design
from ..networks import Affine, Codec, Denoiser, LabelVae, SignalUnits
from ..training import checkpoint
from ..training.derived_tensors import is_fresh, load_derived, save_derived
from ..training.processes import by_first
from ..training.run_folder import RunFolder
from . import codec, label_vae, latents
from .bases import STAGE, base_folder, unconditional_base
from .moved import images, label_maps, measured_attributes

FOLDER = "conditions"


class TrainedStages:
    """`conditions.kind.Trained` from a run folder."""

    def __init__(self, design: Design, run: RunFolder) -> None:
        self.design, self.run = design, run

    def label_maps(self, subset: str) -> Tensor:
        return label_maps(self.design.codecs.latents, self.run, subset)

    def images(self, subset: str) -> Tensor:
        return images(self.design.codecs.latents, self.run, subset)

    def attributes(self, subset: str) -> tuple[Tensor, Tensor]:
        design = self.design
        measured = measured_attributes(design.codecs.latents, self.run, subset, design.told_attributes)
        values, defined = SignalUnits(design.factors)(*measured)
        return values, defined

    def mask_latents(self, subset: str) -> Tensor:
        return latents.load_latents(self.design.codecs, self.run, subset).mask

    def mask_codec(self) -> Codec | None:
        section = self.design.codecs.mask
        return None if section.is_identity else codec.trained_mask_codec(section, self.run)

    def mask_affine(self) -> Affine:
        return latents.load_affines(self.design.codecs, self.run)[1]

    def label_vae(self) -> LabelVae:
        return label_vae.trained_label_vae(self.design.label_vae, self.design.codecs.latents, self.run)

    def base(self) -> Denoiser:
        return unconditional_base(self.design, self.run)

    def digest(self, stage: str) -> str:
        return checkpoint.weights_sha256(self.run.own(stage), stage, self.run.record)

    def base_digest(self) -> str:
        return checkpoint.weights_sha256(base_folder(self.design, self.run), STAGE, self.run.cohort.record)

    @by_first
    def kept(self, name: str, make: Callable[[str], tuple[Tensor, Tensor]],
             depends: Mapping[str, str]) -> dict[str, Tensor]:
        path = self.run.own(FOLDER) / f"{name}.safetensors"
        made_from = {**latents.fingerprint(self.design.codecs, self.run), **depends}
        if not is_fresh(path, made_from):
            tensors: dict[str, Tensor] = {}
            for subset in SUBSETS:
                tensors[f"{subset}.values"], tensors[f"{subset}.defined"] = make(subset)
            save_derived(path, tensors, made_from)
        return load_derived(path, made_from, checkpoint.command(STAGE, path.parent))
