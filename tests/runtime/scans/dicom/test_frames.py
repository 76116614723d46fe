"""What a header has to say, and what a header that does not is answered."""

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
