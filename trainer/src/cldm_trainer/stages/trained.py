"""What the stages of a run have made, for its condition.

    <run folder>/conditions/<condition>.safetensors    <subset>.values, <subset>.defined: one row for each latent
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from cldm_runtime.files.digest import sha256_of

from ..conditions.kind import SUBSETS, Design
from ..networks import Affine, Codec, Denoiser, LabelVae
from ..training import checkpoint
from ..training.processes import by_first
from ..training.run_folder import RunFolder
from . import codec, label_vae, latents
from .bases import base_folder, unconditional_base
from .moved import label_maps, measured_attributes

FOLDER = "conditions"


class TrainedStages:
    """`conditions.kind.Trained` from a run folder."""

    def __init__(self, design: Design, run: RunFolder) -> None:
        self.design, self.run = design, run

    def label_maps(self, subset: str) -> Tensor:
        return label_maps(self.design.codecs.latents, self.run, subset)

    def attributes(self, subset: str) -> tuple[Tensor, Tensor]:
        return measured_attributes(self.design.codecs.latents, self.run, subset)

    def mask_latents(self, subset: str) -> Tensor:
        return latents.load_latents(self.run.lent(latents.STAGE), subset).mask

    def mask_codec(self) -> Codec:
        return codec.trained_mask_codec(self.design.codecs.mask, self.run)

    def mask_affine(self) -> Affine:
        return latents.load_affines(self.run.lent(latents.STAGE))[1]

    def label_vae(self) -> LabelVae:
        return label_vae.trained_label_vae(self.design.label_vae, self.run)

    def base(self) -> Denoiser:
        return unconditional_base(self.design, self.run)

    def digest(self, stage: str) -> str:
        return sha256_of(self.run.own(stage) / checkpoint.MODEL)

    def base_digest(self) -> str:
        return sha256_of(base_folder(self.design, self.run) / checkpoint.MODEL)

    @by_first
    def kept(self, name: str, make: Callable[[str], tuple[Tensor, Tensor]],
             depends: Mapping[str, str]) -> dict[str, Tensor]:
        path = self.run.own(FOLDER) / f"{name}.safetensors"
        metadata = {**latents.fingerprint(self.design.codecs.latents, self.run), "seed": str(self.run.settings.seed),
                    **depends}
        if checkpoint.metadata(path) != metadata:
            tensors: dict[str, Tensor] = {}
            for subset in SUBSETS:
                tensors[f"{subset}.values"], tensors[f"{subset}.defined"] = make(subset)
            path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save_tensors(path, tensors, metadata)
        return checkpoint.load_tensors(path)
