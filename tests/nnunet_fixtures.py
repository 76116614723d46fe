"""Tiny untrained nnU-Net result folders, and what exports them."""

import json
from pathlib import Path

import numpy as np
import torch

from cldm_trainer.export.manifest_sections import TrainingFacts
from cldm_trainer.export.segmenter import SegmenterExport, segmenter_sections
from cldm_trainer.export.settings import BundleSettings
from cldm_trainer.nnunet.plan import CONFIGURATIONS, halving_strides
from cldm_trainer.nnunet.results import build_network, load_result, segmenter_spec

RESAMPLE = "resample_data_or_seg_to_shape"
LABELS = {"background": 0, "lv_cavity": 1, "healthy_myocardium": 2, "infarct": 3, "mvo": 4}


def plans(transpose=(0, 1, 2), scheme="ZScoreNormalization", patch=(32, 32), spacing=(1.0, 1.0), channels=1):
    """In 2d or 3d_fullres, by the axes of the patch."""
    axes = len(patch)
    order = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 3, "features_per_stage": [4, 8, 8], "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
            "kernel_sizes": [[3] * axes] * 3, "strides": halving_strides(patch, 3), "n_conv_per_stage": [1, 1, 1],
            "n_conv_per_stage_decoder": [1, 1], "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True}},
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"]}
    return {
        "dataset_name": "Dataset001_T", "plans_name": "nnUNetPlans", "label_manager": "LabelManager",
        "transpose_forward": list(transpose), "transpose_backward": list(np.argsort(transpose).tolist()),
        "image_reader_writer": "SimpleITKIO", "original_median_shape_after_transp": [1, 40, 40],
        "foreground_intensity_properties_per_channel": {
            str(channel): {"mean": 0.4, "std": 0.2, "percentile_00_5": 0.1, "percentile_99_5": 0.9}
            for channel in range(channels)},
        "configurations": {CONFIGURATIONS[axes]: {
            "data_identifier": "d", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
            "patch_size": list(patch), "spacing": list(spacing), "normalization_schemes": [scheme] * channels,
            "use_mask_for_norm": [False] * channels, "resampling_fn_data": RESAMPLE, "resampling_fn_seg": RESAMPLE,
            "resampling_fn_probabilities": RESAMPLE, "resampling_fn_data_kwargs": {**order, "order": 3},
            "resampling_fn_seg_kwargs": {**order, "is_seg": True, "order": 1},
            "resampling_fn_probabilities_kwargs": {**order, "order": 1}, "batch_dice": True,
            "architecture": architecture}}}


def result_folder(folder: Path, labels=None, mirror=None, **options) -> Path:
    """An untrained result folder whose logits are spread wide enough for every label to win somewhere."""
    plan, labels = plans(**options), labels or LABELS
    axes = len(options.get("patch", (32, 32)))
    names = {str(channel): "LGE" for channel in range(options.get("channels", 1))}
    dataset = {"channel_names": names, "labels": labels, "numTraining": 1, "file_ending": ".mha"}
    if any(isinstance(value, list) for value in labels.values()):
        dataset["regions_class_order"] = [2, 1, 3]
    torch.manual_seed(0)
    network = build_network(plan, dataset, "nnUNetTrainer", CONFIGURATIONS[axes])
    network.decoder.seg_layers[-1].weight.data *= 20
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plan))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    stored = {"network_weights": network.state_dict(), "trainer_name": "nnUNetTrainer", "current_epoch": 3,
              "init_args": {"configuration": CONFIGURATIONS[axes]},
              "inference_allowed_mirroring_axes": tuple(range(axes)) if mirror is None else mirror,
              "logging": {"train_losses": [np.float32(1.5), np.float64(1.0)]}}
    torch.save(stored, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def slices(shape=(3, 1, 32, 32), seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(np.cumsum(rng.normal(size=shape), axis=-1), axis=-2)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 0.9 + 0.1 * rng.random(shape)).astype(np.float32)


def export_of(folder: Path, config, images=None, mirror=True, labels=None) -> SegmenterExport:
    """For the cohort's domain, on given images (N, C, *spatial)."""
    images = slices() if images is None else images
    settings, result = BundleSettings.of(config), load_result(folder)
    domain = settings.run.cohort.domain
    values = np.tile(np.linspace(0.1, 0.5, len(domain.attributes), dtype=np.float32), (4, 1))
    shown = torch.from_numpy(images[:2])
    training = TrainingFacts({"train_slices": 4}, values, shown, torch.zeros(len(shown), 5, *shown.shape[2:]))
    spec = segmenter_spec(result, domain, labels or {}, mirror)
    sections = segmenter_sections(settings, result, training, {"segmenter": 1})
    return SegmenterExport(result, spec, domain, sections, images, 1e-4)
