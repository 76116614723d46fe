"""Opening bundles that are sound, damaged or hostile."""

import hashlib
import io
import json
import os
import shutil

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError
from cldm_runtime.files.digest import sha256_of


@pytest.fixture
def copy(tiny_generator, tmp_path):
    """A bundle folder that a test may spoil."""
    return shutil.copytree(tiny_generator, tmp_path / "bundle")


def edit(folder, change):
    """Change manifest.json in place; `change` gets its JSON values."""
    value = json.loads((folder / "manifest.json").read_text())
    change(value)
    (folder / "manifest.json").write_text(json.dumps(value))


def test_a_sound_bundle_opens(tiny_generator):
    bundle = Bundle.load(tiny_generator)
    assert bundle.manifest.name == "tiny-generator"
    assert bundle.domain().name == "lge"
    assert bundle.manifest_sha256 == sha256_of(tiny_generator / "manifest.json")
    assert open_graph(bundle, "decoder").provider == "cpu"
    assert "denoiser/in/x" in bundle.reference()


def test_unlisted_files_are_left_alone(copy):
    (copy / "MODEL_CARD.md").write_text("Anything.")
    Bundle.load(copy)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(BundleError, match="no such folder"):
        Bundle.load(tmp_path / "absent")
    with pytest.raises(BundleError, match=r"manifest\.json: missing"):
        Bundle.load(tmp_path)


def test_every_damaged_file_is_named(copy):
    (copy / "decoder.onnx").unlink()
    data = (copy / "denoiser.onnx").read_bytes()
    (copy / "denoiser.onnx").write_bytes(data[:-1])
    altered = bytearray((copy / "reference.npz").read_bytes())
    altered[100] ^= 1
    (copy / "reference.npz").write_bytes(altered)
    with pytest.raises(BundleError) as caught:
        Bundle.load(copy)
    message = str(caught.value)
    assert "decoder.onnx: missing" in message
    assert "denoiser.onnx: sha256" in message
    assert "reference.npz: sha256" in message
    assert "mask_encoder" not in message


def test_a_file_is_checked_again_when_it_is_used(copy):
    bundle = Bundle.load(copy)
    (copy / "decoder.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError, match="altered or truncated"):
        open_graph(bundle, "decoder")


def test_without_verify_only_what_is_used_is_checked(copy):
    (copy / "decoder.onnx").write_bytes(b"something else")
    bundle = Bundle.load(copy, verify=False)
    open_graph(bundle, "denoiser")
    with pytest.raises(BundleError, match="altered or truncated"):
        open_graph(bundle, "decoder")


@pytest.mark.parametrize("name", ["../decoder.onnx", "/etc/passwd", "sub/decoder.onnx", "..", "", "a\\b", ".hidden",
                                  "manifest.json", "decoder.onnx\n", "decoder.onnx\0"])
def test_names_that_lead_elsewhere_are_refused(copy, name):
    edit(copy, lambda value: value["graphs"]["decoder"].update(file=name))
    with pytest.raises(BundleError, match="expected a plain file name"):
        Bundle.load(copy)


def test_links_are_refused_even_with_the_right_bytes(copy, tmp_path):
    (copy / "decoder.onnx").rename(tmp_path / "outside.onnx")
    os.symlink(tmp_path / "outside.onnx", copy / "decoder.onnx")
    with pytest.raises(BundleError, match="not a link"):
        Bundle.load(copy)


def test_a_linked_manifest_is_refused(copy, tmp_path):
    (copy / "manifest.json").rename(tmp_path / "manifest.json")
    os.symlink(tmp_path / "manifest.json", copy / "manifest.json")
    with pytest.raises(BundleError, match="not a link"):
        Bundle.load(copy)


def test_a_folder_and_a_pipe_in_place_of_a_file_are_refused(copy):
    for name, make in (("decoder.onnx", os.mkdir), ("denoiser.onnx", os.mkfifo)):
        (copy / name).unlink()
        make(copy / name)
    with pytest.raises(BundleError) as caught:
        Bundle.load(copy)
    assert str(caught.value).count("expected a regular file") == 2


def test_a_manifest_of_many_megabytes_or_of_no_text_is_refused(copy):
    (copy / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleError, match="not UTF-8"):
        Bundle.load(copy)
    with (copy / "manifest.json").open("wb") as stream:
        stream.truncate(2**20 + 1)
    with pytest.raises(BundleError, match="expected at most"):
        Bundle.load(copy)


def test_a_newer_format_is_refused(copy):
    edit(copy, lambda value: value.update(format_version=2))
    with pytest.raises(BundleError, match=r"newer than the newest that this runtime reads \(1\)"):
        Bundle.load(copy)


def test_a_role_that_is_absent_names_the_others(tiny_generator):
    with pytest.raises(BundleError, match=r"has no graph encoder\. It has: denoiser, mask_encoder, decoder"):
        open_graph(Bundle.load(tiny_generator), "encoder")


def test_torchscript_that_was_not_exported_says_so(tiny_generator):
    with pytest.raises(BundleError, match="no TorchScript form"):
        open_graph(Bundle.load(tiny_generator), "decoder", provider="torchscript")


def test_labels_of_another_domain_are_refused(copy):
    edit(copy, lambda value: value["labels"]["names"].__setitem__(4, "lesion"))
    with pytest.raises(BundleError, match="does not fit the domain lge"):
        Bundle.load(copy).domain()


def replace_reference(folder, data):
    (folder / "reference.npz").write_bytes(data)
    edit(folder, lambda value: value["reference"].update(sha256=hashlib.sha256(data).hexdigest()))
    return Bundle.load(folder)


def test_a_reference_that_holds_objects_is_refused(copy):
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="not a readable npz"):
        replace_reference(copy, buffer.getvalue()).reference()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 nonsense", b"\x93NUMPY\x01\x00"])
def test_a_reference_that_is_no_npz_is_refused(copy, data):
    with pytest.raises(BundleError, match="not a readable npz"):
        replace_reference(copy, data).reference()
