"""What a bundle was trained on, in words."""

from cldm_runtime.bundle.nature import joined_nature, stated_natures, stated_sentence, trained_on_sentence

PATIENTS, PHANTOM = "Trained on images of patients.", "Trained on drawn phantoms; no patient data."


def test_one_nature_is_one_sentence() -> None:
    assert trained_on_sentence("patients", {}) == PATIENTS and trained_on_sentence("phantom", {}) == PHANTOM
    assert stated_natures("phantom", {}) == ["phantom"] and stated_natures(None, {}) == [""]


def test_weights_that_began_on_phantoms_say_so() -> None:
    several = {"natures": ["patients", "phantom"]}
    assert trained_on_sentence("patients", several) == (
        f"{PATIENTS} Some of its weights were trained on drawn phantoms too.")
    assert stated_sentence('{"nature": "patients", "provenance": {"natures": ["not stated", "patients"]}}') == (
        f"{PATIENTS} Some of its weights were trained on images of unknown origin too.")


def test_a_text_that_is_no_manifest_states_nothing() -> None:
    assert {stated_sentence(text) for text in ("", "[]", '{"provenance": 3}', '{"provenance": {"natures": 1}}')} == {
        "What this bundle was trained on is not stated."}


def test_the_nature_of_all_is_that_of_patients_if_one_is() -> None:
    assert [joined_nature(natures) for natures in (["phantom", "patients"], ["phantom"], ["phantom", ""], [])] == [
        "patients", "phantom", "", ""]
