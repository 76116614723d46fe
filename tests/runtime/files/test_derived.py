"""A derivation says which source or setting has changed."""

from cldm_runtime.files.derived import Derivation, differences, differing_values

A, B = "a" * 64, "b" * 64
MADE = Derivation({"images": A, "masks": A}, {"window": {"shape": (8, 8)}, "order": 3})


def test_equal_contents_and_settings_do_not_differ() -> None:
    again = Derivation.read(MADE.text())
    assert again is not None and differences(again, MADE) == [] and again.sha256 == MADE.sha256


def test_each_source_and_setting_that_differs_is_named() -> None:
    now = Derivation({"images": B, "masks": A}, {"window": {"shape": (8, 9)}, "order": 3, "centre": "image"})
    assert differences(MADE, now) == ["images: was aaaaaaaaaaaa..., is now bbbbbbbbbbbb...",
                                      "window.shape: was [8, 8], is now [8, 9]",
                                      "centre: was not set, is now 'image'"]


def test_what_is_left_out_is_a_difference_too() -> None:
    assert differences(MADE, Derivation({"images": A}, MADE.settings)) == ["masks: was aaaaaaaaaaaa..., is now None"]


def test_free_keys_and_newer_ones_are_passed_over() -> None:
    assert differing_values({"steps": 1, "rate": 2}, {"steps": 9, "rate": 2, "new": 1}, free=frozenset({"steps"})) == []


def test_other_text_is_no_derivation() -> None:
    assert [Derivation.read(text) for text in ("", "[1]", "{}", '{"sources": 1, "settings": {}}')] == [None] * 4
