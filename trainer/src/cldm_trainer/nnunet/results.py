"""Reads the result folder of any nnU-Net v2 training in a 2-D or 3-D configuration, a cascade's second stage excepted.

    RESULT/plans.json, dataset.json, fold_<fold>/checkpoint_final.pth
"""

import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cldm_runtime.bundle.nnunet_labels import read_labels
from cldm_runtime.bundle.segmenter_spec import ChannelNormalisation, SegmenterSpec
from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError, list_faults
from cldm_runtime.files.user_files import read_json
from cldm_runtime.scans.label_map import map_labels
from cldm_runtime.scans.nnunet_raw import RawDataset

from .plan import MEDNEXT_CLASS

RESAMPLING = "resample_data_or_seg_to_shape"
GAUSSIAN_SIGMA_SCALE = 1 / 8  # of nnU-Net's sliding window
TILE_STEP_SIZE = 0.5  # default of nnUNetPredictor

_NETWORKS = "dynamic_network_architectures.architectures"
_NETWORK = re.compile(re.escape(_NETWORKS) + r"(\.\w+)*")
_LAYER = re.compile(r"torch\.nn(\.modules)?(\.\w+){1,2}")
_MOST_STAGES, _MOST_FEATURES = 32, 4096

# What the training curves in a checkpoint are made of. Nothing else than these and tensors is unpickled.
_SCALAR: Any = np.float64(0).__reduce__()[0]
_SAFE = [np.dtype, _SCALAR, (_SCALAR, "numpy.core.multiarray.scalar"),  # the second: its name before numpy 2
         *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.float16, np.int64))]


@dataclass(frozen=True)
class NnunetResult:
    """A trained network, deep supervision off, with what nnU-Net knows about its use.

    `trained_on`: "volumes" in a 3-D configuration. In a 2-D one "slices" or "stacks", whose intensities nnU-Net
    normalises over the whole stack; the runtime normalises each slice.
    """

    folder: Path
    network: nn.Module
    plans: Mapping[str, Any]
    dataset: Mapping[str, Any]
    trainer: str
    mirror_axes: tuple[int, ...]
    epochs: int
    configuration: str = "2d"

    @property
    def axes(self) -> int:
        """Spatial axes of the images: 2 for slices, 3 for volumes."""
        return len(self.managers[1].patch_size)

    @property
    def trained_on(self) -> str:
        if self.axes == 3:
            return "volumes"
        shape = self.plans.get("original_median_shape_after_transp", [1])
        return "stacks" if float(shape[0]) > 1 else "slices"

    @property
    def managers(self) -> tuple[Any, Any, Any]:
        """nnU-Net's plans, configuration and label managers."""
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        plans = PlansManager(dict(self.plans))
        return plans, plans.get_configuration(self.configuration), plans.get_label_manager(dict(self.dataset))


def load_result(folder: Path, fold: str = "0", checkpoint: str = "checkpoint_final.pth") -> NnunetResult:
    """Read a result folder. Raises InputError where a file is missing, damaged, or holds more than data."""
    with _understanding(folder):
        plans, dataset = _read_object(folder / "plans.json"), _read_object(folder / "dataset.json")
        stored = load_checkpoint(folder / f"fold_{fold}" / checkpoint)
        configuration = _known_configuration(folder, plans, str(stored["init_args"]["configuration"]))
        check_architecture(folder / "plans.json", plans)
        network = build_network(plans, dataset, str(stored["trainer_name"]), configuration)
        try:
            network.load_state_dict(stored["network_weights"])
        except RuntimeError as error:
            raise InputError(f"{folder}: the weights do not fit the network of plans.json: {error}") from error
        axes = stored.get("inference_allowed_mirroring_axes") or ()
        return NnunetResult(folder, network.eval().requires_grad_(False), plans, dataset, str(stored["trainer_name"]),
                            tuple(int(axis) for axis in axes), int(stored["current_epoch"]), configuration)


def _known_configuration(folder: Path, plans: Mapping[str, Any], name: str) -> str:
    """The configuration of a checkpoint. Raises InputError for one that cannot be exported, or that plans lack."""
    planned = plans.get("configurations", {})
    if name not in planned:
        raise InputError(f"{folder / 'plans.json'}: no configuration {name!r}, which the checkpoint is of; found "
                         f"{', '.join(map(str, planned)) or 'none'}. Copy plans.json from the training again.")
    if planned[name].get("previous_stage"):
        raise InputError(f"{folder}: the configuration {name!r} takes the labels of "
                         f"{planned[name]['previous_stage']!r} as input, and a bundle holds one "
                         "network. Export a configuration without a previous stage.")
    return name


@contextmanager
def _understanding(folder: Path) -> Iterator[None]:
    """Turns what nnU-Net says of plans and checkpoints that lack something into one InputError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError, ImportError, RuntimeError,
            MemoryError) as error:
        raise InputError(f"{folder}: this is not a result as nnU-Net v2 leaves it ({error!r}).") from error


def check_architecture(file: Path, plans: Mapping[str, Any]) -> None:
    """Raise InputError for a plan that names other classes than nnU-Net's networks and torch's layers, for nnU-Net
    imports and calls what a plan names, or that describes a network of absurd size."""
    configurations = plans.get("configurations")
    for name, configuration in configurations.items() if isinstance(configurations, dict) else ():
        architecture = configuration.get("architecture", {}) if isinstance(configuration, dict) else {}
        options = architecture.get("arch_kwargs", {}) if isinstance(architecture, dict) else {}
        imported = architecture.get("_kw_requires_import", []) if isinstance(options, dict) else []
        called = [options.get(key) for key in imported if isinstance(key, str)] if isinstance(imported, list) else []
        strange = [value for value in called if value is not None and not _LAYER.fullmatch(str(value))]
        network = str(architecture.get("network_class_name", _NETWORKS)) if isinstance(architecture, dict) else "?"
        if strange or not (_NETWORK.fullmatch(network) or network == MEDNEXT_CLASS):
            raise InputError(f"{file}: configuration {name} would call {[network, *strange]}. Only networks of "
                             f"{_NETWORKS} with layers of torch.nn are used.")
        if not _are_small(options):
            raise InputError(f"{file}: configuration {name} describes a network with lists of more than {_MOST_STAGES} "
                             f"entries or numbers above {_MOST_FEATURES}.")


def _are_small(value: object) -> bool:
    if isinstance(value, dict | list):
        return len(value) <= _MOST_STAGES and all(map(_are_small, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int | float) or abs(value) <= _MOST_FEATURES


def _read_object(file: Path) -> dict[str, Any]:
    content = read_json(file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object, as nnU-Net writes it.")
    return content


def load_checkpoint(file: Path) -> dict[str, Any]:
    """A checkpoint as data: tensors, plain values and numpy numbers, and no code.

    Raises InputError for a file that needs anything else to be unpickled.
    """
    try:
        with torch.serialization.safe_globals(_SAFE):
            return dict(torch.load(file, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise InputError(f"{file}: there is no such checkpoint. Choose another fold or checkpoint.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError, OSError,
            MemoryError) as error:
        raise InputError(f"{file}: this is not a checkpoint that can be read as plain data ({error})") from error


def build_network(plans: Mapping[str, Any], dataset: Mapping[str, Any], trainer_name: str,
                  configuration: str) -> nn.Module:
    """The network of the plan's configuration, made by the trainer class of that name in the installed nnunetv2."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    try:
        trainer = recursive_find_trainer_class_by_name(trainer_name)
    except RuntimeError as error:
        raise InputError(f"nnunetv2 has no trainer {trainer_name!r}. Set nnUNet_extTrainer to its folder.") from error
    manager = PlansManager(dict(plans))
    planned = manager.get_configuration(configuration)
    channels = determine_num_input_channels(manager, planned, dict(dataset))
    heads = manager.get_label_manager(dict(dataset)).num_segmentation_heads
    network: nn.Module = trainer.build_network_architecture(manager, planned, channels, heads,
                                                            enable_deep_supervision=False)
    return network


def segmenter_spec(result: NnunetResult, domain: Domain, labels: Mapping[str, str], mirror: bool,
                   setting: str = "export.nnunet_labels") -> SegmenterSpec:
    """What the runtime's predictor needs. `labels`: label name of dataset.json, or value -> label name of the domain.
    setting: where a user gives them.

    Raises InputError that lists everything that the runtime's predictor cannot reproduce.
    """
    with _understanding(result.folder):
        plans, configuration, label_manager = result.managers
        faults = _resampling_faults(configuration.configuration, result.axes)
        if result.axes != domain.axes:
            faults.append(f"the configuration {result.configuration} segments images of {result.axes} axes, but those "
                          f"of the domain {domain.name} have {domain.axes}")
        values = _label_values(result, label_manager, domain, labels, setting, faults)
        if faults:
            raise InputError(list_faults(f"{result.folder} cannot be exported:", faults))
        inside = [int(axis) for axis in plans.transpose_forward][-result.axes:]  # of a slice without the first axis
        return SegmenterSpec(
            kind=f"nnunet-{result.axes}d",
            patch_size=tuple(int(size) for size in configuration.patch_size),
            label_values=values,
            spacing_mm=tuple(float(size) for size in configuration.spacing),
            normalisation=_normalisation(result.plans, configuration),
            axis_order=tuple(sorted(inside).index(axis) for axis in inside),
            image_order=int(configuration.configuration["resampling_fn_data_kwargs"]["order"]),
            logits_order=int(configuration.configuration["resampling_fn_probabilities_kwargs"]["order"]),
            tile_step_size=TILE_STEP_SIZE,
            gaussian_sigma_scale=GAUSSIAN_SIGMA_SCALE,
            mirror_axes=result.mirror_axes,
            mirror_by_default=mirror,
            decision="regions" if label_manager.has_regions else "argmax",
        )


def _resampling_faults(configuration: Mapping[str, Any], axes: int) -> list[str]:
    """What the runtime does not resample as. Only volumes have a coarse axis, whose own options then matter."""
    faults = []
    for name in ("resampling_fn_data", "resampling_fn_probabilities"):
        if configuration[name] != RESAMPLING:
            faults.append(f"{name} is {configuration[name]!r}, supported: {RESAMPLING}")
        options = configuration[f"{name}_kwargs"]
        for key, supported in (("order_z", 0), ("force_separate_z", None)):
            if axes == 3 and options.get(key, supported) != supported:
                faults.append(f"{name}_kwargs.{key} is {options[key]!r}, supported: {supported!r}")
    return faults


def _label_values(result: NnunetResult, label_manager: Any, domain: Domain, labels: Mapping[str, str],
                  setting: str, faults: list[str]) -> tuple[int, ...]:
    """Label value of the domain for each channel of the network."""
    known = read_labels(result.dataset["labels"], result.folder / "dataset.json")
    named = {name: values for name, values in known.items() if name != "ignore"}
    lookup = map_labels(RawDataset(result.folder, named, (), result.dataset), domain, labels, faults,
                        setting)
    channels = label_manager.regions_class_order if label_manager.has_regions else label_manager.all_labels
    missing = [int(value) for value in channels if int(value) not in lookup]
    if missing and not faults:
        faults.append(f"labels {missing} of dataset.json are not mapped to labels of {domain.name}")
    return tuple(lookup.get(int(value), 0) for value in channels)


def _normalisation(plans: Mapping[str, Any], configuration: Any) -> tuple[ChannelNormalisation, ...]:
    entries = []
    for channel, (scheme, masked) in enumerate(
            zip(configuration.normalization_schemes, configuration.use_mask_for_norm, strict=True)):
        intensities = plans["foreground_intensity_properties_per_channel"][str(channel)]
        entries.append(ChannelNormalisation(
            scheme, bool(masked), float(intensities["mean"]), float(intensities["std"]),
            float(intensities["percentile_00_5"]), float(intensities["percentile_99_5"])))
    return tuple(entries)
