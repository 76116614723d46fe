"""An nnU-Net result folder, 2d or 3d_fullres, to a segmenter bundle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import TensorSpec
from cldm_runtime.bundle.reference import Reference, ReferenceCase
from cldm_runtime.bundle.segmenter_spec import SegmenterSpec
from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain
from cldm_runtime.noise import Purpose, normals
from cldm_runtime.segmentation.prepare import prepare
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.segmentation.window import pad_to_patch
from cldm_runtime.store import open_dataset

from ..config import SegmenterConfig
from ..graphs.write import BATCH, export_graph, trace
from ..networks.rank import spatial_axes
from ..nnunet.plan import use_folders
from ..nnunet.results import NnunetResult, load_result, segmenter_spec
from ..stages import segmenter as stage
from ..training.checkpoint import require_config
from ..training.run_folder import Cohort
from .bundle_writer import GraphFile, ReferenceFile, refuse_to_overwrite, write_bundle
from .checkpoints import last_figures, read_training
from .manifest_sections import TrainingFacts, common_sections
from .model_card import segmenter_card
from .nnunet_agreement import compare_predictors, require_agreement
from .parity import GraphParity, ParityError, as_table, compare_graph, compare_reference, require
from .rounding import rounded, rounding_figures
from .settings import BundleSettings

SEED = 20241
AGREEMENT_IMAGES = {2: 64, 3: 4}  # by spatial axes: slices, volumes
PARITY_SLICES = 8
_ELSEWHERE_FACTOR = 5  # what another machine or provider may add to the tolerance at export


class EncoderFeatures(nn.Module):
    """The deepest features of the encoder, averaged over the image: (N, C, *spatial) -> (N, F)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        deepest: Tensor = self.encoder(image)[-1]
        return deepest.mean(dim=spatial_axes(deepest))


@dataclass(frozen=True)
class SegmenterExport:
    """What is exported, and what it is checked on.

    images: (n, C, *spatial) float32 images as the bundle's user would give them; they are not written anywhere.
    sections: the manifest without what follows from the network. tolerance: largest difference of a graph's output from
    torch's, as a share of the output's range. stored: how its weights are, "fp32" or "fp16". say: gets what is being
    done.
    """

    result: NnunetResult
    spec: SegmenterSpec
    domain: Domain
    sections: Mapping[str, Any]
    images: NDArray[np.float32]
    tolerance: float
    torchscript: bool = True
    validation: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], object] = len
    stored: str = "fp32"

    @cached_property
    def network(self) -> nn.Module:
        """nnU-Net's, with rounded weights where the bundle stores them in fewer bytes."""
        return rounded(self.result.network, self.stored)

    def modules(self, network: nn.Module | None = None) -> dict[str, nn.Module]:
        """By graph role. A network without a separate encoder gives no features."""
        network = self.network if network is None else network
        encoder = getattr(network, "encoder", None)
        features = {"features": EncoderFeatures(encoder)} if isinstance(encoder, nn.Module) else {}
        return {"segmenter": network, **features}

    def write(self, target: Path, *, force: bool = False) -> Path:
        """Write the bundle. Raises ParityError, and writes nothing, where features differ from torch's, logits are not
        finite, or the labels of the runtime's predictor differ from those of nnU-Net's. Logits whose difference exceeds
        the tolerance are reported: the labels decide."""
        refuse_to_overwrite(target, force=force)
        random, cohort = self.random_inputs(), self.cohort_inputs()
        rounding = self._rounding(cohort)
        self.say("writing the graphs")
        graphs = [self._graph(role, module, random) for role, module in self.modules().items()]
        expected = {role: ReferenceCase({"image": random.numpy()}, {_OUTPUTS[role][0]: _run(module, random)})
                    for role, module in self.modules().items()}
        limits = {role: self.tolerance * _range(case.outputs[_OUTPUTS[role][0]]) for role, case in expected.items()}
        allowed = {f"{role}/{_OUTPUTS[role][0]}": _ELSEWHERE_FACTOR * limit for role, limit in limits.items()}
        reference = ReferenceFile(Reference(expected).to_arrays(), SEED, allowed)

        def check(bundle: Bundle) -> Mapping[str, Any]:
            parities = [replace(parity, tolerance=allowed[parity.what]) for parity in compare_reference(bundle, 0, 0)]
            require(parities)  # else `cldm verify` would refuse the bundle
            cases = {"random": {"image": random}, "cohort": {"image": cohort}}
            for role, module in self.modules().items():
                self.say(f"comparing the graph {role} with torch")
                parities += compare_graph(bundle, role, module, cases, limits[role])
            self._judge(parities[len(allowed):])
            return {"parity": as_table(parities), "measured": self.measure(Segmenter.load(bundle.path)),
                    "validation": self.validation, **rounding}

        sections = {**self.sections, "name": target.name, "segmenter": plain(self.spec)}
        return write_bundle(target, sections, graphs, reference, segmenter_card, check=check, force=force)

    def _rounding(self, cohort: Tensor) -> dict[str, Any]:
        """What the storage of weights changes, for the manifest's quality. Raises ParityError where it is too much."""
        if self.stored == "fp32":
            return {}
        exact, inputs = self.modules(self.result.network), {role: {"image": cohort} for role in self.modules()}
        return {"rounding": rounding_figures(self.stored, exact, self.modules(), inputs)}

    def _judge(self, parities: Sequence[GraphParity]) -> None:
        """Raise ParityError, or report logits that only differ by more than the tolerance."""
        tolerated = [parity for parity in parities if parity.what in ("segmenter", "segmenter (TorchScript)")
                     and np.isfinite(parity.max_abs) and not parity.holds]
        require([parity for parity in parities if parity not in tolerated])
        for parity in tolerated:
            click.echo(f"{parity.what}, {parity.samples} {parity.kind} inputs: logits differ from torch by "
                       f"{parity.max_abs:.2e}, more than export.parity_tolerance = {self.tolerance:g} of their range "
                       f"allows ({parity.tolerance:.2e}). The comparison of labels decides.", err=True)

    def measure(self, segmenter: Segmenter) -> dict[str, Any]:
        """Agreement with nnU-Net's predictor, with and without mirroring."""
        choices = (True, False) if self.result.mirror_axes else (False,)
        agreements = [compare_predictors(segmenter, self.result, self.images, mirror=mirror, say=self.say)
                      for mirror in choices]
        require_agreement(agreements)
        return {name: value for agreement in agreements for name, value in agreement.figures().items()}

    def random_inputs(self) -> Tensor:
        """(2, C, *patch) smooth standardised noise, the same on every machine."""
        shape = (len(self.spec.normalisation), *self.spec.patch_size)
        noise = normals(SEED, np.arange(2), Purpose.ACQUISITION, shape)
        smooth = gaussian_filter(noise.astype(np.float64), (0, 0, *(3,) * len(self.spec.patch_size)))
        return torch.from_numpy((smooth / smooth.std() + 0.3 * noise).astype(np.float32))

    def cohort_inputs(self) -> Tensor:
        """(n, C, *patch): images as the network sees them, cut to one patch."""
        spacing = tuple(self.sections["image"]["spacing_mm"][axis] for axis in self.spec.axis_order)
        corner = tuple(slice(size) for size in self.spec.patch_size)
        patches = []
        for image in self.images[:PARITY_SLICES].transpose(0, 1, *(axis + 2 for axis in self.spec.axis_order)):
            prepared = prepare(image, spacing, self.spec).image
            patches.append(pad_to_patch(prepared[None], self.spec.patch_size)[0][0][:, *corner])
        return torch.from_numpy(np.ascontiguousarray(np.stack(patches)))

    def _graph(self, role: str, module: nn.Module, example: Tensor) -> GraphFile:
        name, meaning = _OUTPUTS[role]
        shape = _run(module, example).shape
        return GraphFile(
            role, export_graph(module, {"image": example}, [name]),
            (TensorSpec("image", "float32", (BATCH, *example.shape[1:]), "patch, prepared as `segmenter` says"),),
            (TensorSpec(name, "float32", (BATCH, *shape[1:]), meaning),),
            torchscript=trace_or_say(role, module, example) if self.torchscript else None)


_OUTPUTS = {
    "segmenter": ("logits", "one channel for each of segmenter.label_values"),
    "features": ("features", "deepest features of the encoder, averaged over the patch"),
}


def trace_or_say(role: str, module: nn.Module, image: Tensor) -> bytes | None:
    """The TorchScript form of a network; None, and a line on stderr, where torch cannot make it: plans of nnU-Net may
    name any network."""
    try:
        return trace(module, {"image": image})
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        click.echo(f"{role}: without a TorchScript form, because torch cannot trace {type(module).__name__}: {reason}",
                   err=True)
        return None


def _range(values: NDArray[np.float32]) -> float:
    """Largest minus smallest value, 0 among them. Raises ParityError where one is not finite."""
    width = float(np.ptp(np.append(values, 0)))
    if not np.isfinite(width):
        raise ParityError("the network's outputs are not finite: its weights are of a training that diverged. Nothing "
                          "was written. Export another checkpoint: export.nnunet_checkpoint or export.nnunet_fold.")
    return width


def _run(module: nn.Module, image: Tensor) -> NDArray[np.float32]:
    with torch.no_grad():
        output: NDArray[np.float32] = module(image).numpy()
    return output


def export_segmenter(settings: BundleSettings, section: SegmenterConfig, target: Path, *, force: bool = False,
                     torchscript: bool = True, say: Callable[[str], object] = len) -> Path:
    """Export this run's nnU-Net, or the result folder that `export.nnunet` names, with the cohort of the configuration.

    Raises InputError where there is no trained network, ParityError where the bundle would not do what nnU-Net does.
    """
    export, run = settings.export, settings.run
    use_folders(run.own(stage.STAGE) / "nnunet")
    folder = Path(export.nnunet) if export.nnunet else stage.result_folder(section, run)
    if not export.nnunet and not (folder / f"fold_{stage.FOLD}").is_dir():
        raise InputError(f"{folder}: not found. Train it first: `cldm-train segmenter` with the same --config.")
    if not export.nnunet:
        require_config(run.own(stage.STAGE), stage.depends_on(section, run))
    say(f"{target.name}: reading the network")
    result = load_result(folder, export.nnunet_fold, export.nnunet_checkpoint)
    labels = nnunet_labels(settings, result)
    spec = segmenter_spec(result, run.cohort.domain, labels, export.segmenter_mirroring)
    steps = {} if export.nnunet else {stage.STAGE: result.epochs * section.iterations_per_epoch}
    training = read_training(run, {}, stage.inheritance(run))
    sections = segmenter_sections(settings, result, training, steps)
    bundle = SegmenterExport(
        result, spec, run.cohort.domain, sections, check_images(run.cohort), export.parity_tolerance, torchscript,
        {} if export.nnunet else validation_figures(run.own(stage.STAGE)),
        lambda now: say(f"{target.name}: {now}"), "fp32" if export.weights == "fp32" else "fp16")
    return bundle.write(target, force=force)


def nnunet_labels(settings: BundleSettings, result: NnunetResult) -> dict[str, str]:
    """[export.nnunet_labels], and for names of the result's dataset.json that are not in it, [prepare.labels]. Numbers
    in [prepare.labels] are values of another dataset and are not used."""
    names = result.dataset["labels"]
    shared = {name: label for name, label in settings.prepare_labels.items() if name in names}
    return {**shared, **settings.export.nnunet_labels}


def segmenter_sections(settings: BundleSettings, result: NnunetResult, training: TrainingFacts,
                       steps: Mapping[str, int]) -> dict[str, Any]:
    """The manifest but for what follows from the network. steps: of this run's training; empty for a network that was
    trained elsewhere, of whose training data nothing is known and nothing is stated."""
    cohort = settings.run.cohort
    if not steps:
        nothing = np.empty((0, training.attributes.shape[1]), np.float32)
        training = replace(training, counts={}, attributes=nothing, natures=("",), cohort_sha256="")
        settings = replace(settings, config={})
    common = common_sections(settings, training)
    del common["attribute_distribution"]  # what a generator draws from
    provenance = dict(common["provenance"])
    provenance["software"] = {**provenance["software"], "nnunetv2": version("nnunetv2")}
    provenance["nnunet"] = nnunet_facts(result, elsewhere=not steps)
    if steps:
        provenance["steps"] = dict(steps)
    images = "single slices" if cohort.dims == 2 else "volumes"
    return {
        **common,
        "bundle_version": settings.export.version,
        "kind": "segmenter",
        "description": f"nnU-Net ({cohort.dims}-D) for {images}; labels of the domain {cohort.domain.name}.",
        "provenance": provenance,
    }


def nnunet_facts(result: NnunetResult, *, elsewhere: bool) -> dict[str, Any]:
    """What nnU-Net says of a training, for the manifest's provenance. elsewhere: not a run of this package."""
    facts = {"trainer": result.trainer, "plans": result.plans["plans_name"], "epochs": result.epochs,
             "trained_on": result.trained_on}
    name = str(result.dataset.get("name") or result.plans.get("dataset_name") or "unnamed")
    return {**facts, "dataset": name, "trained": "elsewhere"} if elsewhere else facts


def validation_figures(folder: Path) -> dict[str, Any]:
    """The last figures of this run's training on the validation patients, by stage."""
    figures = last_figures(folder / "validation.csv")
    return {stage.STAGE: {name: value for name, value in figures.items() if np.isfinite(value)}}


def check_images(cohort: Cohort) -> NDArray[np.float32]:
    """(n, C, *spatial) images of the test patients, evenly picked; of all images where there is no test subset.

    Raises InputError where the file has images of another shape or spacing than the configuration.
    """
    with open_dataset(cohort.file) as dataset:
        present = (tuple(dataset.shape), tuple(dataset.spacing_mm))
        if present != (tuple(cohort.shape), tuple(cohort.spacing_mm)):
            raise InputError(f"{cohort.file}: images of {present[0]} pixels of {present[1]} mm, but prepare.shape is "
                             f"{cohort.shape} and prepare.spacing_mm {cohort.spacing_mm}. Use the configuration that "
                             "the cohort was prepared with.")
        subsets, most = dataset.subset, AGREEMENT_IMAGES[len(dataset.spacing_mm)]
        rows = dataset.rows("test" if subsets is not None and "test" in subsets else None)
        return dataset.images(rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)])
