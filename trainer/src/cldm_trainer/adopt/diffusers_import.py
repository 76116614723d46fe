"""Image-space diffusion of diffusers: a UNet2DModel, its label map concatenated as channels (Konz et al., MICCAI 2024).

    FOLDER/config.json, diffusion_pytorch_model.safetensors             the network alone
    FOLDER/unet/..., scheduler/scheduler_config.json                    a pipeline
"""

import inspect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from cldm_runtime.diffusion.schedule import NoiseSchedule, PredictionType
from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.user_files import read_json

from ..training.faults import first_line
from .description import Description
from .networks import ImageDecoder, Imported, ImportedDenoiser, LabelNumbers, encoder_role
from .schedules import described_schedule
from .shapes import require_shape, shape_of
from .state_dict import load_into, read_state

_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_CONFIG, _SCHEDULER = "config.json", "scheduler_config.json"
_PREDICTS: Final[dict[str, PredictionType]] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
_LARGEST = 16384
_CLIPPED = ("Its training program clipped x0 to its range at each step (clip_sample); bundles never clip, so samples "
            "differ from that program's.")


class PlainUnet(nn.Module):
    """diffusers' network with a tensor as its answer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        prediction: Tensor = self.network(x, timestep, return_dict=False)[0]
        return prediction


def read_diffusers(description: Description, domain: Domain, folder: Path) -> Imported:
    """The network of a description with a diffusers folder. Raises InputError for what is missing or does not fit."""
    image, condition = description.image, description.condition
    assert description.diffusers is not None  # the description was checked
    top = folder / description.diffusers.folder
    home = top / "unet" if (top / "unet" / _CONFIG).is_file() else top
    if condition is not None and condition.kind != "concatenated":
        raise InputError(f"condition.kind: found {condition.kind!r}, expected \"concatenated\": a UNet2DModel takes "
                         "its condition as channels.")
    config = _object(home / _CONFIG)
    _require_supported(home / _CONFIG, config, description)
    weights = next((home / name for name in _WEIGHTS if (home / name).is_file()), home / _WEIGHTS[0])
    network = _build(home / _CONFIG, config)
    load_into(network, read_state(weights), str(weights))
    shape = (image.channels, *image.shape)
    roles: dict[str, nn.Module] = {"denoiser": ImportedDenoiser(PlainUnet(network), condition)}
    fed = None
    if condition is not None:
        encoder = LabelNumbers(condition, domain, nn.Identity())
        roles[encoder_role(condition)] = encoder
        fed = shape_of("condition", encoder, (len(domain.labels), *image.shape))
    require_shape("image.shape", roles["denoiser"], shape, shape, (), *([fed] if fed else []))
    roles["decoder"] = ImageDecoder(None, 1.0, image.network_range)
    schedule, notes = _schedule(description, [top / "scheduler" / _SCHEDULER, home / _SCHEDULER])
    return Imported(roles, schedule, shape, fed, {weights.name: sha256_of(weights)}, "a UNet2DModel of diffusers",
                    notes)


def _object(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise InputError(f"{file}: not found. Expected a folder that diffusers' save_pretrained wrote: {_CONFIG} and "
                         f"{_WEIGHTS[0]}, in it or in its folder unet.")
    content = read_json(file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object, as diffusers writes it.")
    return content


def _require_supported(file: Path, config: Mapping[str, Any], description: Description) -> None:
    """Raise InputError for another kind of network, or one of other images."""
    image, condition = description.image, description.condition
    size, added = config.get("sample_size"), 0 if condition is None else condition.channels
    sizes = [size] * len(image.shape) if isinstance(size, int) else size
    expected: list[tuple[str, Any, Any]] = [
        ("_class_name", config.get("_class_name"), "UNet2DModel"),
        ("time_embedding_type", config.get("time_embedding_type", "positional"), "positional"),
        ("num_class_embeds", config.get("num_class_embeds"), None),
        ("class_embed_type", config.get("class_embed_type"), None),
        ("out_channels", config.get("out_channels", 3), image.channels),
        ("in_channels", config.get("in_channels", 3), image.channels + added),
        ("sample_size", sizes, list(image.shape) if sizes else sizes)]
    for key, found, wanted in expected:
        if found != wanted:
            raise InputError(f"{file}: {key} is {found!r}, expected {wanted!r} for image.channels = {image.channels}, "
                             f"image.shape = {list(image.shape)} and {added} channels of the condition. Correct the "
                             "description, if the network is one that it can describe: a UNet2DModel without classes.")


def _build(file: Path, config: Mapping[str, Any]) -> nn.Module:
    model = _diffusers("UNet2DModel")
    known = inspect.signature(model.__init__).parameters
    options = {name: value for name, value in config.items() if name in known and name != "self"}
    if not all(_is_small(value) for value in options.values()):
        raise InputError(f"{file}: a number above {_LARGEST}, expected the sizes of a network.")
    try:
        network: nn.Module = model(**options)
    except (TypeError, ValueError, AssertionError, LookupError, RuntimeError, ZeroDivisionError) as error:
        raise InputError(f"{file}: diffusers builds no UNet2DModel from it ({first_line(error)}). Copy the folder "
                         "again.") from error
    return network


def _is_small(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_small, value))
    return not isinstance(value, int | float) or abs(value) <= _LARGEST


def _schedule(description: Description, files: list[Path]) -> tuple[NoiseSchedule, tuple[str, ...]]:
    """The described schedule, or that of the folder's scheduler; and what there is to say about it."""
    if description.schedule is not None:
        return described_schedule(description.schedule), ()
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise InputError(f"schedule: missing, and the folder has no scheduler/{_SCHEDULER}. Describe the noise that "
                         "the network was trained with in schedule.")
    config = _object(file)
    predicts = _PREDICTS.get(str(config.get("prediction_type", "epsilon")))
    if predicts is None:
        raise InputError(f"{file}: prediction_type is {config['prediction_type']!r}, expected one of "
                         f"{', '.join(_PREDICTS)}. Networks of other predictions cannot be imported.")
    try:
        shares = _diffusers("DDPMScheduler").from_config(config).alphas_cumprod.double().numpy()
    except (TypeError, ValueError, NotImplementedError, LookupError, AttributeError) as error:
        raise InputError(f"{file}: diffusers makes no schedule from it ({first_line(error)}). Describe the noise in "
                         "schedule.") from error
    notes = (_CLIPPED,) if config.get("clip_sample", True) else ()
    return NoiseSchedule(predicts, np.asarray(shares, np.float64)), notes


def _diffusers(name: str) -> Any:
    """A class of diffusers, which is needed for its folders alone."""
    try:
        import diffusers
        from diffusers.utils import import_utils
    except ImportError as error:
        raise InputError("diffusers is not installed, and folders of diffusers need it: "
                         "pip install 'cldm-trainer[diffusers]'") from error
    if not _torchvision_works():
        import_utils._torchvision_available = False  # diffusers would import it, and fail; no UNet2DModel needs it
    return getattr(diffusers, name)


@cache
def _torchvision_works() -> bool:
    """Whether torchvision can be imported beside this torch: nnU-Net may bring one that is made for another."""
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError, OSError):
        return False
    return True
