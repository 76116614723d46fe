"""What a folder holds: series and what was drawn on them, each with what it refers to."""

from pathlib import Path

import numpy as np

import dicom_fixtures as write
from cldm_runtime.scans.dicom.index import index_folder

MAP = np.ones((2, 6, 7), np.uint8)


def test_a_drawing_names_its_series_and_instances(tmp_path: Path) -> None:
    images = write.series(np.zeros((2, 6, 7), np.uint16))
    write.save(tmp_path / "a", *images)
    write.save(tmp_path, write.segmentation(images, MAP, names={1: "Scar"}), stem="SEG")
    (tmp_path / "notes.txt").write_text("x" * 200)
    index = index_folder(tmp_path, ["SEG000.dcm", "a/IM000.dcm", "a/IM001.dcm", "notes.txt"])
    (drawing,), (series,) = index.drawings, index.series.values()
    assert (index.files, index.unread, drawing.names) == (3, [], ("scar",))
    assert images[0].SeriesInstanceUID in drawing.series and series.uid == images[0].SeriesInstanceUID
    assert {image.SOPInstanceUID for image in images} <= drawing.instances == {*drawing.instances}
    assert (series.folder, len(series.frames), len(series.stacks)) == ("a", 2, 1)


def test_directories_and_reports_of_pydicom_are_passed_over() -> None:
    folder = Path(write.pydicom.data.get_testdata_file("DICOMDIR", download=False)).parent
    index = index_folder(folder, ["DICOMDIR", "98892003/MR1/15820", "../reportsi.dcm"])
    assert (index.files, len(index.series), index.drawings, index.unread) == (3, 1, [], [])
