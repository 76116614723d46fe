"""ONNX files with a description: networks that read labels off greys, in every form of output."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from onnx.helper import make_node

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.described_network import DescribedNetwork
from cldm_runtime.store import open_dataset
from onnx_fixtures import GREYS, model, tensor
from segmenter_fixtures import LABELS, MASKS, describe, heart, write_hearts

REGIONS = '0 = "lv_cavity"\n1 = "healthy_myocardium"\n2 = "infarct"\n'


def segment(folder: Path, description: Path, masks: np.ndarray = MASKS) -> np.ndarray:
    with open_dataset(write_hearts(folder / "hearts.h5", masks)) as dataset:
        network = DescribedNetwork.load(description)
        network.check_fit(dataset)
        return network.segment_rows(dataset, slice(0, len(masks)), 16)


@pytest.mark.parametrize("kind", ["logits", "softmax", "sigmoid", "regions", "labels"])
def test_every_kind_of_output(kind: str, tmp_path: Path) -> None:
    labels = REGIONS if kind in ("sigmoid", "regions") else LABELS
    assert np.array_equal(segment(tmp_path, describe(tmp_path, kind, labels=labels)), MASKS)


@pytest.mark.parametrize("network", [{"batch": 3}, {"batch": 8}, {"last": True}])
def test_batches_of_one_size_and_channels_last(network: dict[str, object], tmp_path: Path) -> None:
    frame = 'layout = "NHWC"' if "last" in network else ""
    assert np.array_equal(segment(tmp_path, describe(tmp_path, frame=frame, **network)), MASKS)


def test_a_frame_twice_as_fine_and_turned(tmp_path: Path) -> None:
    """The image takes the middle half of the frame; what is turned is turned back."""
    frame = 'transpose = true\nflip = ["columns"]\nplace = [64, 64]\npad = 0.2\norder = 0'
    assert np.array_equal(segment(tmp_path, describe(tmp_path, frame=frame, size=(128, 128))), MASKS)


def test_what_the_frame_does_not_show_is_background(tmp_path: Path) -> None:
    frame = "spacing_mm = [1, 1]"
    found = segment(tmp_path, describe(tmp_path, frame=frame, size=(32, 64)))
    assert np.array_equal(found[:, 16:48], MASKS[:, 16:48]) and not found[:, :16].any() and not found[:, 48:].any()


def test_slices_that_are_no_squares(tmp_path: Path) -> None:
    masks = np.stack([np.pad(heart(90), [(0, 0), (8, 0)])])
    path = describe(tmp_path, frame="transpose = true\nplace = [72, 64]\npad = 0.2\norder = 0", size=(80, 80))
    assert np.array_equal(segment(tmp_path, path, masks), masks)


@pytest.mark.parametrize(("kind", "stated", "message"), [
    ("logits", "softmax", "values reach from .* expected 0 to 1. They may be logits"),
    ("logits", "sigmoid", "expected 0 to 1. They may be regions"),
    ("sigmoid", "softmax", "the channels of a pixel sum to .* They may be sigmoid"),
    ("softmax", "labels", "gave float32, expected label maps of whole numbers"),
])
def test_an_output_that_cannot_be_what_is_stated(kind: str, stated: str, message: str, tmp_path: Path) -> None:
    path = describe(tmp_path, kind)
    path.write_text(path.read_text().replace(f'kind = "{kind}"', f'kind = "{stated}"'))
    with pytest.raises(InputError, match=message):
        segment(tmp_path, path)


@pytest.mark.parametrize(("labels", "message"), [
    (LABELS.replace('4 = "mvo"\n', ""), "does not name 4"), (LABELS + '5 = "mvo"\n', "names 5 besides")])
def test_every_channel_has_a_meaning_and_no_other_number_has(labels: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"gives the channels 0 to 4, \[labels\] {message}"):
        segment(tmp_path, describe(tmp_path, labels=labels))


def test_a_label_that_the_domain_lacks_is_ignored_by_rule(tmp_path: Path) -> None:
    found = segment(tmp_path, describe(tmp_path, labels=LABELS.replace('1 = "lv_cavity"', '1 = "background"')))
    assert np.array_equal(found, np.where(MASKS == 1, 0, MASKS))


def test_regions_without_a_label_are_known(tmp_path: Path) -> None:
    labels = LABELS.replace('"infarct"', '"healthy_myocardium"').replace('"mvo"', '"healthy_myocardium"')
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset:
        assert DescribedNetwork.load(describe(tmp_path, labels=labels)).lacking_regions(dataset) == ["infarct"]


def test_a_graph_that_bundles_may_not_have_is_refused(tmp_path: Path) -> None:
    path = describe(tmp_path)
    nodes = [make_node("RandomNormalLike", ["input"], ["output"])]
    shape = tensor("input", 1, 64, 64), tensor("output", 1, 64, 64)
    (tmp_path / "greys.onnx").write_bytes(model(nodes, shape[:1], shape[1:]))
    with pytest.raises(InputError, match=r"this network is refused.\n  - draws random numbers \(RandomNormalLike\)"):
        DescribedNetwork.load(path)


@pytest.mark.parametrize(("settings", "message"), [
    ({"more": f'sha256 = "{"0" * 64}"'}, "it is another network, or was damaged: copy the file again.*leave that key"),
    ({"frame": "size = [32, 32]"}, r"input.size: found \[32, 32\], the graph states \[64, 64\]"),
    ({"frame": "channels = [0, 0]"}, r"input.channels: found \[0, 0\], the graph takes 1"),
    ({"frame": 'layout = "NCDHW"'}, "expected one image of layout NCDHW"),
    ({"output": 'name = "scores"'}, "output.name: found 'scores', expected one of output"),
])
def test_what_does_not_fit_the_graph(settings: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"(?i){message}"):
        DescribedNetwork.load(describe(tmp_path, **settings))


def test_a_file_that_is_not_there_or_no_network(tmp_path: Path) -> None:
    path = describe(tmp_path)
    (tmp_path / "greys.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is refused"):
        DescribedNetwork.load(path)
    (tmp_path / "greys.onnx").unlink()
    with pytest.raises(InputError, match=r"No such file.*relative to the description"):
        DescribedNetwork.load(path)


def test_images_with_more_channels_than_the_network(tmp_path: Path) -> None:
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset:
        network = DescribedNetwork.load(describe(tmp_path, frame="channels = [1]"))
        with pytest.raises(InputError, match=r"takes the channels \[1\]"):
            network.check_fit(dataset)


def test_the_source_changes_with_the_meaning_and_not_with_comments(tmp_path: Path) -> None:
    path = describe(tmp_path)
    before = DescribedNetwork.load(path)
    path.write_text("# a comment\n" + path.read_text())
    assert DescribedNetwork.load(path).made(before.source())
    path.write_text(path.read_text().replace("[input]", "[input]\norder = 0"))
    assert not DescribedNetwork.load(path).made(before.source())


def test_the_processor_gets_two_images_at_once(tmp_path: Path) -> None:
    """More would take gigabytes of memory, and more time: their activations leave the cache."""
    network, sizes = DescribedNetwork.load(describe(tmp_path)), list[int]()

    class Counting:
        provider = "cpu"

        def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            sizes.append(len(inputs["input"]))
            return network.engine.run(inputs)

    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset:
        dataclasses.replace(network, engine=Counting()).segment_rows(dataset, slice(0, 3), 16)
    assert sizes == [2, 1]


def test_it_goes_to_another_process(tmp_path: Path) -> None:
    network = pickle.loads(pickle.dumps(DescribedNetwork.load(describe(tmp_path))))
    frames = [each.image for each in network.frames(GREYS[MASKS][:, None], (1.0, 1.0))]
    assert np.array_equal(network.scores(np.stack(frames)).argmax(axis=1), MASKS)
