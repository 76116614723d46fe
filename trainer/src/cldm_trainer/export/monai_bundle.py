"""A folder beside a bundle that MONAI's tools can read: metadata, and a configuration that runs the bundle.

    <bundle>-monai/configs/metadata.json      what docs/source/mb_specification.rst of MONAI asks for
    <bundle>-monai/configs/inference.json     for monai.bundle: calls cldm_runtime, which must be installed
    <bundle>-monai/docs/README.md, license.txt

The weights stay in the bundle, as ONNX: MONAI's models/model.pt, a state dict of one network, does not exist here.
"""

import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import Manifest, TensorSpec
from cldm_runtime.bundle.outputs import LABELS, channels_of, draws_labels
from cldm_runtime.bundle.sources import SOURCES
from cldm_runtime.errors import BundleError

SCHEMA = ("https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
          "meta_schema_20240725.json")
SUFFIX = "-monai"
_METADATA = "configs/metadata.json"
_README = """# {name}

{description}

This folder describes the bundle `../{name}` to MONAI's tools. The weights are there, as ONNX graphs, with a
MODEL_CARD.md. There is no models/model.pt: several networks and a sampling loop make an image, not one state dict.

```
pip install 'cldm-runtime[cpu]'
python -m monai.bundle run --config_file configs/inference.json --bundle_root .
```
"""


def monai_folder(bundle: Path) -> Path:
    """Where a bundle is described to MONAI's tools."""
    return bundle.with_name(bundle.name + SUFFIX)


def refuse_to_replace(bundle: Path, *, force: bool) -> None:
    """Raise BundleError when the folder of a bundle's description may not be written. Even `force` replaces nothing but
    such a folder."""
    target = monai_folder(bundle)
    if target.exists() and not (force and (target / _METADATA).is_file()):
        told = "Move it away." if force else "Pass --force to replace it, or move it away."
        raise BundleError(f"{target} exists{' and holds no ' + _METADATA if force else ''}. {told}")


def write_monai_bundle(folder: Path, *, force: bool = False) -> Path:
    """Write `<folder>-monai` for the bundle `folder` and return it. Raises BundleError where it exists, unless `force`
    is given and it is such a folder."""
    refuse_to_replace(folder, force=force)
    manifest, target = Bundle.load(folder).manifest, monai_folder(folder)
    draft = target.with_name(f".{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for part in ("configs", "docs"):
            (draft / part).mkdir(parents=True)
        for name, content in ((_METADATA, metadata(manifest)), ("configs/inference.json", inference(manifest, folder))):
            (draft / name).write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
        text = _README.format(name=folder.name, description=manifest.description)
        (draft / "docs" / "README.md").write_text(text, encoding="utf-8")
        (draft / "docs" / "license.txt").write_text(f"{manifest.licence}\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.rename(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def metadata(manifest: Manifest) -> dict[str, Any]:
    """metadata.json: what goes into the bundle as a whole, and what comes out."""
    given, made = ((_segmenter_inputs, _segmenter_outputs) if manifest.kind == "segmenter"
                   else (_generator_inputs, _generator_outputs))
    return {
        "schema": SCHEMA,
        "version": manifest.bundle_version,
        "changelog": {manifest.bundle_version: "exported by cldm-trainer"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"cldm-runtime": version("cldm-runtime"), "onnxruntime": version("onnxruntime")},
        "name": manifest.name,
        "task": f"{manifest.kind} of the domain {manifest.domain}",
        "description": manifest.description,
        "authors": "not stated",
        "copyright": f"licence {manifest.licence}",
        "intended_use": manifest.intended_use,
        "data_type": manifest.nature or "not stated",
        "network_data_format": {"inputs": given(manifest), "outputs": made(manifest)},
    }


def inference(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """inference.json: `run` makes images, or label maps of the images that `images` names."""
    names = {"bundle_root": ".", "bundle": f"$@bundle_root + '/../{folder.name}'"}
    if manifest.kind == "segmenter":
        return {"imports": ["$from cldm_runtime import Segmenter", "$import numpy"], **names, "images": "images.npy",
                "out": "labels.npy", "segmenter": "$Segmenter.load(@bundle)",
                "run": ["$numpy.save(@out, @segmenter.segment(numpy.load(@images)))"]}
    return {"imports": ["$from cldm_runtime import Generator", "$import numpy"], **names, "number": 4, "seed": 0,
            "out": "images.npy", "generator": "$Generator.load(@bundle)",
            "run": ["$numpy.save(@out, @generator.sample(n=@number, seed=@seed)[0])"]}


def _tensor(spec: TensorSpec, kind: str, form: str, channels: dict[str, str], **more: Any) -> dict[str, Any]:
    """A tensor as MONAI describes it. channels: number -> meaning."""
    return {"type": kind, "format": form, "modality": "n/a", "num_channels": spec.shape[1],
            "spatial_shape": list(spec.shape[2:]),
            "dtype": spec.dtype, "value_range": list(spec.range or ()), "is_patch_data": False, "channel_def": channels,
            **more}


def _image(manifest: Manifest, spec: TensorSpec, **more: Any) -> dict[str, Any]:
    channels = {str(number): "image" for number in range(manifest.image.channels)}
    return _tensor(spec, "image", "magnitude", channels, modality="MR", **more)


def _generator_inputs(manifest: Manifest) -> dict[str, Any]:
    """Noise, and what the conditions are made from."""
    noise = manifest.graphs["denoiser"].input("x") if "denoiser" in manifest.graphs else _latent_vector(manifest)
    inputs = {"noise": _tensor(noise, "noise", "latent", {"0": "standard normal numbers"})}
    for condition in manifest.conditions:
        for spec in manifest.graphs[condition.encoder].inputs:
            if spec.name in SOURCES["masks"].shapes(manifest):
                names = {str(value): name for value, name in enumerate(manifest.labels.names)}
                inputs[spec.name] = _tensor(spec, "image", "labels", names)
            elif spec.name in SOURCES["images"].shapes(manifest):
                inputs[spec.name] = _image(manifest, spec)
            else:
                names = {str(number): f"{each.name} ({each.unit})" for number, each in enumerate(manifest.attributes)}
                inputs[spec.name] = _tensor(spec, "tuples", "raw", names)
    return inputs


def _latent_vector(manifest: Manifest) -> TensorSpec:
    return manifest.graphs["decoder"].input("z")


def _generator_outputs(manifest: Manifest) -> dict[str, Any]:
    if manifest.kind == "anatomy":
        names = {str(value): name for value, name in enumerate(manifest.labels.names)}
        return {"pred": _tensor(manifest.graphs["decoder"].output("logits"), "image", "labels", names)}
    if draws_labels(manifest):
        names = {str(number): name for number, name in enumerate(channels_of(manifest).names)}
        return {"pred": _tensor(manifest.graphs["decoder"].output(LABELS.tensor), "image", "labels", names)}
    return {"image": _image(manifest, manifest.graphs["decoder"].output("image"))}


def _segmenter_inputs(manifest: Manifest) -> dict[str, Any]:
    return {"image": _image(manifest, manifest.graphs["segmenter"].input("image"), is_patch_data=True)}


def _segmenter_outputs(manifest: Manifest) -> dict[str, Any]:
    spec = manifest.segmenter
    assert spec is not None  # the manifest was checked
    names = {str(number): manifest.labels.names[value] for number, value in enumerate(spec.label_values)}
    logits = manifest.graphs["segmenter"].output("logits")
    return {"pred": _tensor(logits, "image", "labels", names, is_patch_data=True)}
