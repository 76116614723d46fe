"""An nnU-Net result from a segmenter bundle that was trained with the reduced plan, where its result folder is gone.

The plan follows from the bundle's `segmenter` section and from the configuration that it was trained with; the weights
stand in its graph. What nnU-Net's own predictor says with them is checked against the graph before anything is timed.
"""

from pathlib import Path
from typing import Any

import torch

from cldm_runtime.bundle.segmenter_spec import SegmenterSpec
from cldm_runtime.errors import InputError
from cldm_runtime.segmentation.segmenter import Segmenter

from ..graphs.read_weights import fill
from ..nnunet.plan import CONFIGURATIONS, halving_strides
from ..nnunet.results import RESAMPLING, NnunetResult, build_network

_TRAINER = "nnUNetTrainer"


def rebuilt_result(segmenter: Segmenter) -> NnunetResult:
    """The network of a bundle in torch, with the plan that nnU-Net's predictor needs.

    Raises InputError for a bundle whose plan is not the reduced one of `cldm-train segmenter`.
    """
    manifest, spec = segmenter.bundle.manifest, segmenter.spec
    trained = manifest.provenance.get("config", {}).get("segmenter", {})
    if trained.get("planned", True) or spec.axis_order != tuple(range(spec.axes)) or spec.decision != "argmax":
        raise InputError(f"{segmenter.bundle.path}: only a segmenter trained with segmenter.planned = false can be "
                         "rebuilt from its bundle. Name its nnU-Net result folder in export.nnunet.")
    dataset = {"channel_names": {str(c): f"channel {c}" for c in range(len(spec.normalisation))}, "file_ending": ".mha",
               "labels": {name: value for value, name in enumerate(segmenter.domain.labels.names)}, "numTraining": 1}
    plans = _plans(spec, trained)
    network = build_network(plans, dataset, _TRAINER, CONFIGURATIONS[spec.axes])
    graph = manifest.graphs["segmenter"]
    fill(network, graph, segmenter.bundle.read(graph), "segmenter")
    return NnunetResult(Path(segmenter.bundle.path), network.eval().requires_grad_(False), plans, dataset, _TRAINER,
                        spec.mirror_axes, int(trained["epochs"]), CONFIGURATIONS[spec.axes])


def check_rebuilt(segmenter: Segmenter, result: NnunetResult, tolerance: float = 1e-3) -> float:
    """Largest difference of the logits of graph and torch for the same noise. Raises InputError beyond `tolerance`."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((2, len(segmenter.spec.normalisation), *segmenter.spec.patch_size), generator=generator)
    with torch.no_grad():
        expected = result.network(image).numpy()
    logits = segmenter.engine.run({"image": image.numpy()})["logits"]
    difference = float(abs(logits - expected).max())
    if difference > tolerance:
        raise InputError(f"{segmenter.bundle.path}: the network rebuilt from the bundle differs from its graph by "
                         f"{difference:.1e}. Name the nnU-Net result folder in export.nnunet.")
    return difference


def _plans(spec: SegmenterSpec, trained: dict[str, Any]) -> dict[str, Any]:
    """plans.json of the reduced plan, as far as network and predictor read it."""
    stages, convolutions, axes = len(trained["features"]), int(trained["convolutions"]), spec.axes
    kinds: dict[str, Any] = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages, "features_per_stage": list(trained["features"]),
            "conv_op": f"torch.nn.modules.conv.Conv{axes}d", "kernel_sizes": [[3] * axes] * stages,
            "strides": halving_strides(spec.patch_size, stages), "n_conv_per_stage": [convolutions] * stages,
            "n_conv_per_stage_decoder": [convolutions] * (stages - 1), "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True}},
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"]}
    intensities = {str(number): {"mean": rule.mean, "std": rule.std, "percentile_00_5": rule.percentile_00_5,
                                 "percentile_99_5": rule.percentile_99_5}
                   for number, rule in enumerate(spec.normalisation)}
    configuration = {
        "data_identifier": "rebuilt", "preprocessor_name": "DefaultPreprocessor", "batch_size": trained["batch_size"],
        "patch_size": list(spec.patch_size), "spacing": list(spec.spacing_mm),
        "normalization_schemes": [rule.scheme for rule in spec.normalisation],
        "use_mask_for_norm": [rule.use_mask for rule in spec.normalisation],
        "resampling_fn_data": RESAMPLING, "resampling_fn_seg": RESAMPLING, "resampling_fn_probabilities": RESAMPLING,
        "resampling_fn_data_kwargs": {**kinds, "order": spec.image_order},
        "resampling_fn_seg_kwargs": {**kinds, "is_seg": True, "order": 1},
        "resampling_fn_probabilities_kwargs": {**kinds, "order": spec.logits_order}, "batch_dice": True,
        "architecture": architecture}
    return {
        "dataset_name": "Dataset001_Rebuilt", "plans_name": "ReducedPlans", "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "image_reader_writer": "SimpleITKIO",
        "original_median_shape_after_transp": [1, *spec.patch_size][-3:],
        "foreground_intensity_properties_per_channel": intensities,
        "configurations": {CONFIGURATIONS[axes]: configuration}}
