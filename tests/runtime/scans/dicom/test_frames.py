"""What a header has to say, and what a header that does not is answered."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dicom_fixtures as write
from cldm_runtime.errors import InputError
from cldm_runtime.scans.dicom.files import is_dicom, read_frames, read_header
from cldm_runtime.scans.dicom.frames import frames_of

FIRST = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)


def frame_with(tmp_path: Path, **more: Any) -> Any:
    (file,) = write.save(tmp_path, *write.series(FIRST, **more))
    return frames_of(file, read_header(file))[0]


def test_a_frame_says_where_it_lies(tmp_path: Path) -> None:
    frame = frame_with(tmp_path, TriggerTime=12.5, EchoTime=None)
    assert (frame.position_mm, frame.pixel_mm, frame.shape) == ((10, -20, 30), (1.5, 1.25), (3, 4))
    assert np.allclose((*frame.rows, *frame.columns), write.SHORT_AXIS)
    assert dict(frame.telling) == {"TriggerTime": "12.5", "ImageType": "['ORIGINAL', 'PRIMARY', 'OTHER']",
                                   "InstanceNumber": "1"}


@pytest.mark.parametrize(("more", "message"), [
    ({"ImagePositionPatient": None}, "does not say where it lies"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "two unit vectors at a right angle"),
    ({"PixelSpacing": [0, 1]}, "its pixels are 0 x 1 mm wide, expected 0.01 to 1000"),
    ({"RescaleSlope": 0}, "Rescale Slope and Intercept are no numbers"),
    ({"ModalityLUTSequence": [write.Dataset()]}, r"pass through a table \(Modality LUT\)"),
    ({"NumberOfFrames": 2}, "several frames that do not say where they lie")])
def test_a_faulty_header_is_one_message(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    if "ModalityLUTSequence" in more:
        more["ModalityLUTSequence"][0].LUTExplanation = "x"
    with pytest.raises(InputError, match=message):
        frame_with(tmp_path, **more)


def test_colour_and_inverted_pictures_are_refused() -> None:
    for name in ("SC_rgb_small_odd.dcm", "SC_rgb_rle.dcm"):
        with pytest.raises(InputError, match="is in colour"):
            read_frames(Path(write.pydicom.data.get_testdata_file(name, download=False)))


def test_compressed_pixels_name_a_way_out_that_works(tmp_path: Path) -> None:
    """Lossless JPEG of a scanner's archive; the program that the message names gives the pixels back."""
    plain = Path(write.pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    extended = Path(write.pydicom.data.get_testdata_file("JPGExtended.dcm", download=False))
    with pytest.raises(InputError, match=r"compressed \(JPEG Extended.*`dcmdjpeg IN OUT` .*install pylibjpeg pylib"):
        read_frames(extended)
    if not (shutil.which("dcmcjpeg") and shutil.which("dcmdjpeg")):
        pytest.skip("dcmdjpeg: not installed. Run as root: apt-get install dcmtk")
    packed, unpacked = tmp_path / "packed.dcm", tmp_path / "unpacked.dcm"
    subprocess.run(["dcmcjpeg", "+e1", plain, packed], check=True)
    with pytest.raises(InputError, match=r"JPEG Lossless.*`dcmdjpeg IN OUT`"):
        read_frames(packed)
    subprocess.run(["dcmdjpeg", packed, unpacked], check=True)
    assert np.array_equal(read_frames(unpacked), read_frames(plain))
    subprocess.run(["dcmdjpeg", extended, unpacked], check=True, capture_output=True)
    assert read_frames(unpacked).shape == (1, 1024, 256)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"])
def test_other_compressions_are_unpacked(name: str) -> None:
    plain, packed = (Path(write.pydicom.data.get_testdata_file(each, download=False))
                     for each in ("MR_small.dcm", name))
    assert np.array_equal(read_frames(packed), read_frames(plain))


def test_a_damaged_compressed_file_names_the_program_that_tells_it() -> None:
    name = "JPEG2000-embedded-sequence-delimiter.dcm"
    with pytest.raises(InputError, match=r"JPEG 2000.*`gdcmconv --raw IN OUT`.*the file is damaged"):
        read_frames(Path(write.pydicom.data.get_testdata_file(name, download=False)))


def test_no_message_quotes_a_header(tmp_path: Path) -> None:
    (file,) = write.save(tmp_path, *write.series(FIRST, PatientName="Qvistgaard"))
    file.write_bytes(file.read_bytes().replace(b"10.0\\-20.0\\30.0", b"Qvistgaard\\-20.0"[:15]))
    with pytest.raises(InputError, match=r"IM000.dcm: .* \(ValueError\)") as caught:
        frames_of(file, read_header(file))
    assert "Qvist" not in str(caught.value) and caught.value.__cause__ is None


def test_other_files_are_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"DICM")
    (tmp_path / "text").write_bytes(b" " * 128 + b"DICM")
    assert [is_dicom(tmp_path / name) for name in ("short", "text", "none")] == [False, True, False]
    with pytest.raises(InputError, match=r"its data set is deflated.*dcmconv"):
        read_header(Path(write.pydicom.data.get_testdata_file("image_dfl.dcm", download=False)))
