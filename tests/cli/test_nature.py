"""Texts that commands write say first whether the training images were drawn or of patients."""

import re

import pytest

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

SENTENCES = {"phantom": "Trained on drawn phantoms; no patient data.", "patients": "Trained on images of patients.",
             "": "What this bundle was trained on is not stated."}
GRID = "infarct_size,transmurality,slice_position\n0.2,0.6,0.5\n0,,0.5\n"


def test_inspect_begins_with_the_nature_of_a_bundle(tiny_generator, stating, nature, capsys):
    assert run(cldm, ["inspect", str(stating(tiny_generator, nature))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == SENTENCES[nature] and not re.search(r"\breal\b", "\n".join(lines))


def test_report_and_inspect_name_generator_and_segmenter(tiny_generator, tiny_segmenter, stating, nature, tmp_path,
                                                         capsys):
    (tmp_path / "grid.csv").write_text(GRID)
    made, out = tmp_path / "made.h5", tmp_path / "out"
    bundles = [str(stating(folder, nature)) for folder in (tiny_generator, tiny_segmenter)]
    assert run(cldm, ["gen", "--n", "4", "--attributes", str(tmp_path / "grid.csv"), "--bundle", bundles[0], "--out",
                      str(made)]) == 0
    assert run(cldm, ["evaluate", str(made), "--segmenter", bundles[1], "--out", str(out)]) == 0
    capsys.readouterr()
    assert run(cldm, ["inspect", str(made)]) == 0
    assert capsys.readouterr().out.startswith(f"Generator: {SENTENCES[nature]}\n")
    page = (out / "report.html").read_text().split("<body>")[1]
    told = f"Generator: {SENTENCES[nature]} Segmenter: {SENTENCES[nature]}"
    assert page.index(told) < page.index("Intended use: research") < page.index("4 samples")
    assert not re.search(r"\breal\b", page)


def test_a_report_names_the_nature_of_a_learned_anatomy(tiny_generator, tiny_anatomy, tiny_segmenter, stating,
                                                        tmp_path):
    (tmp_path / "grid.csv").write_text("infarct_size,transmurality\n0.2,0.5\n")
    made, anatomy = tmp_path / "made.h5", stating(tiny_anatomy, "patients")
    assert run(cldm, ["gen", "--n", "1", "--attributes", str(tmp_path / "grid.csv"), "--bundle", str(tiny_generator),
                      "--anatomy", "learned", "--anatomy-bundle", str(anatomy), "--out", str(made)]) == 0
    assert run(cldm, ["evaluate", str(made), "--segmenter", str(tiny_segmenter)]) == 0
    assert f"Label maps: {SENTENCES['patients']} Segmenter:" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("stated", "sentence"), [
    ("phantom", "The images are drawn phantoms; no patient data."), ("patients", "Images of patients."),
    ("", "What these images are is not stated."), ("real", "What these images are is not stated.")])
def test_a_cohort_says_what_its_images_are(stated, sentence, tmp_path, capsys):
    metadata = {"nature": stated} if stated else {}
    with create_dataset(tmp_path / "c.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 2.0), metadata=metadata)) as to:
        to.append(images=[[[[0.0] * 8] * 8]] * 3, subset=["train", "train", "test"], patients=["a", "a", "b"])
    with open_dataset(tmp_path / "c.h5") as dataset:
        assert dataset.nature == (stated if stated in ("phantom", "patients") else "")
    assert run(cldm, ["inspect", str(tmp_path / "c.h5")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == sentence
    assert {"images        3 of 1 x 8 x 8, 1 x 2 mm", "subsets       train 2, test 1", "patients      2"} <= {*lines}
