"""Scars in words: sentences that give their facts back, and requests read from freer text."""

import random
from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime import describe
from cldm_runtime.domains.lge.anatomy import LgeAnatomy
from cldm_runtime.domains.lge.attributes import MVO
from cldm_runtime.domains.lge.place import LAYERS, LEVELS, measure_place
from cldm_runtime.domains.lge.words import RULES, ScarFacts, caption, facts_from, measure_facts, read_words, rounded
from cldm_runtime.domains.lge.words.facts import APICAL_WALLS, SIZES, WALLS, size_bin, size_word
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.noise import Purpose, Stream

GRID = ("infarct_size", "transmurality", "endocardial_surface_length", "slice_position")
EDITS = (*GRID, "angle_deg", "aha_segment", "rv_insertion_deg", "layer", "operation")
# Clockwise from the insertion; 17-segment model: the septum lies on its other side.
CLOCKWISE = ("anterior", "anterolateral", "inferolateral", "inferior", "inferoseptal", "anteroseptal")
APICAL_CLOCKWISE = ("anterior", "lateral", "inferior", "septal")


def random_facts(chance: random.Random) -> ScarFacts:
    """A scar of any kind, with values that are known or not."""
    level = chance.choice(["", *LEVELS])
    if chance.random() < 0.05:
        return ScarFacts(0.0, level=level)

    def share() -> float | None:
        return None if chance.random() < 0.1 else chance.random()

    facts = ScarFacts(chance.random() ** 3, share(), share(), chance.choice([0.0, 0.1 * chance.random()]),
                      chance.choice(LAYERS), level)
    names = APICAL_CLOCKWISE if level == "apical" else CLOCKWISE
    first, count = chance.randrange(len(names)), chance.randrange(1, 4)
    angle, extent = chance.uniform(0, 360), chance.uniform(10, 360)
    return chance.choice([
        facts, replace(facts, extent_deg=extent),
        replace(facts, angle_deg=angle, extent_deg=extent, clock=(chance.randrange(1, 13), chance.randrange(1, 13))),
        replace(facts, angle_deg=angle, extent_deg=extent,
                walls=tuple(names[(first + k) % len(names)] for k in range(count)))])


def test_ten_thousand_sentences_give_their_facts_back() -> None:
    chance = random.Random(11)
    for _ in range(10_000):
        facts = random_facts(chance)
        text = caption(facts)
        assert facts_from(text) == rounded(facts), text
        assert caption(rounded(facts)) == text


@pytest.mark.parametrize(("facts", "text"), [
    (ScarFacts(0.0), "No scar."), (ScarFacts(0.0, level="basal"), "No scar, basal level."),
    (ScarFacts(0.0621, 0.38, 0.24, 0.0, "endocardial", "basal", ("inferolateral", "inferior"), None, 195.4, 70.0),
     "Small subendocardial scar in the inferolateral and inferior wall, basal level: 6.2 % of the wall, 38.0 % deep, "
     "24.0 % of the endocardium, centre at 195 degrees from the insertion, extent 70 degrees."),
    (ScarFacts(0.25, 0.9, 0.3, 0.02, "transmural", "", (), (11, 2), 15.0, 90.0),
     "Large transmural scar from 11 to 2 o'clock with microvascular obstruction: 25.0 % of the wall, 90.0 % deep, "
     "30.0 % of the endocardium, 2.0 % obstructed, centre at 15 degrees from 12 o'clock, extent 90 degrees."),
    (ScarFacts(0.02, 0.3, 0.0, 0.0, "mid-wall", "apical", ("septal",), None, 300.0, 40.0),
     "Tiny mid-wall scar in the septal wall, apical level: 2.0 % of the wall, 30.0 % deep, 0.0 % of the endocardium, "
     "centre at 300 degrees from the insertion, extent 40 degrees."),
    (ScarFacts(0.5, 0.5, 1.0, 0.0, "endocardial", "", (), None, None, 360.0),
     "Very large subendocardial scar on all sides: 50.0 % of the wall, 50.0 % deep, 100.0 % of the endocardium, extent "
     "360 degrees."),
])
def test_sentences(facts: ScarFacts, text: str) -> None:
    assert caption(facts) == text and facts_from(text) == rounded(facts)


def ring(first_deg: float, last_deg: float, inner: float = 0.0, outer: float = 1.0) -> np.ndarray:
    """A heart with scar from one direction to another, clockwise from 12 o'clock, between two wall radii."""
    y, x = np.mgrid[:96, :96] - 47.5
    rho, angle = np.hypot(y, x), np.rad2deg(np.arctan2(x, -y)) % 360
    radius = (rho - 20) / 15
    inside = (angle - first_deg) % 360 <= (last_deg - first_deg) % 360
    scar = inside & (radius >= inner) & (radius <= outer)
    return np.where(rho < 20, 1, np.where(rho >= 35, 0, np.where(scar, 3, 2))).astype(np.uint8)


@pytest.mark.parametrize(("labels", "insertion", "position", "expected"), [
    (ring(150, 210, 0, 0.4), None, None, "subendocardial scar from 5 to 7 o'clock: "),
    (ring(150, 210, 0, 0.4), 330.0, 0.9, "subendocardial scar in the inferior wall, basal level: "),
    (ring(150, 210, 0.4, 0.65), 330.0, 0.5, "mid-wall scar in the inferior wall, mid-cavity level: "),
    (ring(330, 30, 0.7, 1), 330.0, 0.5, "subepicardial scar in the anterior wall, mid-cavity level: "),
    (ring(30, 90), 330.0, 0.5, "transmural scar in the anterolateral wall, mid-cavity level: "),
    (ring(90, 150), 330.0, 0.5, "transmural scar in the inferolateral wall, mid-cavity level: "),
    (ring(210, 270), 330.0, 0.5, "transmural scar in the inferoseptal wall, mid-cavity level: "),
    (ring(270, 330), 330.0, 0.5, "transmural scar in the anteroseptal wall, mid-cavity level: "),
    (ring(250, 290), 330.0, 0.1, "transmural scar in the septal wall, apical level: "),
    (ring(120, 180), 330.0, 0.5, "transmural scar in the inferolateral and inferior wall, mid-cavity level: "),
])
def test_a_label_map_is_described(labels: np.ndarray, insertion: float | None, position: float | None,
                                  expected: str) -> None:
    text = RULES.describe(labels, position, insertion)
    assert expected in text and facts_from(text) == rounded(measure_facts(labels, position, insertion))


def test_what_is_measured_is_what_was_drawn() -> None:
    labels = ring(150, 210, 0, 0.4)
    facts = measure_facts(labels, 0.5, 330.0)
    share = ((20 + 0.4 * 15) ** 2 - 20**2) / (35**2 - 20**2) / 6  # areas of ring sectors
    assert facts.infarct_size == pytest.approx(share, abs=0.01) and facts.transmurality == pytest.approx(0.36, abs=0.06)
    assert facts.angle_deg == pytest.approx(210, abs=2) and facts.extent_deg in (60, 70, 80)
    assert facts.mvo == 0 and measure_facts(ring(0, 0, 2, 3)) == ScarFacts(0.0)
    blocked = np.where(ring(170, 190, 0, 0.4) == 3, MVO, labels).astype(np.uint8)
    assert measure_facts(blocked).mvo == pytest.approx(share / 3, abs=0.005)
    assert measure_facts(blocked).infarct_size == facts.infarct_size


def test_drawn_hearts_are_described_by_their_attributes() -> None:
    domain = get_domain("lge")
    for index in range(12):
        stream = Stream(3, index, Purpose.CONDITION)
        request = LgeAnatomy().complete({}, stream)
        labels = LgeAnatomy().draw(request, Stream(3, index, Purpose.ANATOMY), shape=(128, 128),
                                   spacing_mm=(1.0, 1.0)).labels
        facts = facts_from(RULES.describe(labels, request["slice_position"], 0.0))
        values = domain.measure(labels[None]).values[0]
        assert facts is not None and facts.infarct_size == pytest.approx(values[0], abs=0.0006)
        if facts.layer:
            assert facts.transmurality == pytest.approx(values[1], abs=0.0006)
            assert facts.endocardial_surface_length == pytest.approx(values[2], abs=0.0006)


@pytest.mark.parametrize(("inner", "outer"), [(0, 0.3), (0, 0.6), (0.4, 0.6), (0.3, 1), (0.7, 1), (0.2, 0.8), (0, 1)])
def test_the_word_for_a_layer_is_that_of_the_measured_place(inner: float, outer: float) -> None:
    labels = ring(40, 75, inner, outer)
    assert measure_facts(labels).layer == measure_place(labels).layer != ""
    assert facts_from(RULES.describe(labels)).layer == measure_place(labels).layer


@pytest.mark.parametrize(("word", "layer"), [("subendocardial", "endocardial"), ("mid-wall", "mid-wall"),
                                             ("subepicardial", "mid-wall"), ("transmural", "transmural")])
def test_hearts_that_are_drawn_for_a_layer_have_their_scar_there(word: str, layer: str) -> None:
    """Drawn hearts have no subepicardial scars, and the request says so."""
    asked = read_words(f"moderate {word} scar", GRID)
    for index in range(4):
        request = LgeAnatomy().complete(asked.numbers, Stream(3, index, Purpose.CONDITION))
        drawn = LgeAnatomy().draw(request, Stream(3, index, Purpose.ANATOMY), shape=(128, 128), spacing_mm=(1.0, 1.0))
        assert measure_place(drawn.labels).layer == layer
    assert any("--edit scar" in meaning for meaning in asked.meanings) == (word == "subepicardial")


def test_the_bins_of_sizes_are_without_gaps() -> None:
    bins = [size_bin(word) for word, _ in SIZES]
    assert bins == [(0.0, 0.03), (0.03, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 1.0)]
    assert [size_word(share) for share in (0.0, 0.029, 0.03, 0.099, 0.1, 0.2, 0.35, 1.0)] == [
        "tiny", "tiny", "small", "small", "moderate", "large", "very large", "very large"]


@pytest.mark.parametrize(("text", "columns", "numbers", "words"), [
    ("small subendocardial scar in the inferior wall", EDITS,
     {"infarct_size": 0.065, "angle_deg": 210.0}, {"layer": "endocardial"}),
    ("small subendocardial scar in the inferior wall", GRID, {"infarct_size": 0.065, "transmurality": 0.35}, {}),
    ("A large, transmural infarct; basal slice.", GRID,
     {"infarct_size": 0.275, "transmurality": 0.85, "slice_position": 5 / 6}, {}),
    ("very large subendocardial scar", GRID, {"infarct_size": 0.425, "transmurality": 0.4625}, {}),
    ("tiny mid-wall lesion at mid-ventricular level", GRID,
     {"infarct_size": 0.015, "transmurality": 0.35, "endocardial_surface_length": 0.0, "slice_position": 0.5}, {}),
    ("12 % scar, 40% deep", GRID, {"infarct_size": 0.12, "transmurality": 0.4}, {}),
    ("scar of 12 percent, 55 % of the endocardium", GRID,
     {"infarct_size": 0.12, "endocardial_surface_length": 0.55}, {}),
    ("moderate 15 % of the myocardium", GRID, {"infarct_size": 0.15}, {}),
    ("No scar near the apex", GRID, {"infarct_size": 0.0, "slice_position": 1 / 6}, {}),
    ("healthy", GRID, {"infarct_size": 0.0}, {}),
    ("scar at 5 o'clock", EDITS, {"angle_deg": 150.0, "rv_insertion_deg": 0.0}, {}),
    ("scar from 11 to 1 o’clock", EDITS, {"angle_deg": 0.0, "rv_insertion_deg": 0.0}, {}),
    ("scar between 2 and 5 o'clock", EDITS, {"angle_deg": 105.0, "rv_insertion_deg": 0.0}, {}),
    ("scar centred at 40 degrees", EDITS, {"angle_deg": 40.0, "rv_insertion_deg": 0.0}, {}),
    ("septal scar", EDITS, {"angle_deg": 300.0}, {}),
    ("apical septal scar", EDITS, {"angle_deg": 300.0}, {}),
    ("scar of the lateral wall", EDITS, {"angle_deg": 120.0}, {}),
    ("antero-septal and inferoseptal wall", EDITS, {"angle_deg": 300.0}, {}),
    ("subepicardial", EDITS, {}, {"layer": "epicardial"}),
])
def test_words_become_requests(text: str, columns: tuple[str, ...], numbers: dict, words: dict) -> None:
    found = read_words(text, columns)
    assert dict(found.numbers) == pytest.approx(numbers) and dict(found.words) == words
    insertion = {"rv_insertion_deg": 330.0} if "angle_deg" in numbers and "rv_insertion_deg" not in numbers else {}
    assert dict(found.assumed) == insertion
    assert not found.unknown and not found.faults and found.meanings


def test_every_sentence_is_understood_and_asks_for_its_facts() -> None:
    chance = random.Random(5)
    for _ in range(300):
        facts = rounded(random_facts(chance))
        found = read_words(caption(facts), EDITS)
        assert not found.unknown and not found.faults, caption(facts)
        assert found.numbers["infarct_size"] == facts.infarct_size
        assert found.numbers.get("transmurality") == facts.transmurality
        assert found.words.get("layer", "") == facts.layer
        assert (found.numbers.get("angle_deg") is None) == (facts.angle_deg is None)


def test_words_of_a_bin_ask_for_values_of_that_bin() -> None:
    for word, _ in SIZES:
        low, high = size_bin(word)
        assert low < read_words(f"{word} scar", GRID).numbers["infarct_size"] < high


PARAPHRASES = {
    "tiny": ("minuscule", "barely perceptible", "minimal"), "small": ("little", "minor", "modest", "limited"),
    "moderate": ("medium size", "average-sized", "medium-sized"),
    "large": ("sizeable", "considerable", "substantial"), "very large": ("enormous", "giant", "extensive"),
    "subendocardial": ("beneath the endocardium", "along the inner surface", "adjacent to the blood pool",
                       "innermost layer"),
    "mid-wall": ("intramyocardial", "in the middle of the wall", "midmyocardial"),
    "subepicardial": ("along the outer surface", "outermost layer", "under the epicardium"),
    "transmural": ("through the full wall", "entire wall thickness", "from endocardium to epicardium"),
    "basal": ("close to the mitral valve", "towards the atrium", "near the base"),
    "mid-cavity": ("at papillary muscle level", "halfway down the ventricle"),
    "apical": ("close to the tip", "near the apex"),
    "inferior": ("diaphragmatic wall",), "septal": ("interventricular wall", "wall between the ventricles"),
    "lateral": ("free wall", "lateral free wall"), "no scar": ("without any infarct", "healthy"),
}


@pytest.mark.parametrize(("word", "other"), [(word, other) for word, others in PARAPHRASES.items() for other in others])
def test_other_words_ask_for_the_same(word: str, other: str) -> None:
    known, found = read_words(word, EDITS), read_words(other, EDITS)
    assert (found.numbers, found.words, found.unknown) == (known.numbers, known.words, ()), found


@pytest.mark.parametrize(("text", "unknown"), [
    ("small purple scar", ["purple"]), ("posterior wall, large", ["posterior"]),
    ("smallish scar", ["smallish"]), ("large scar with 35 spots", ["35 spots"]),
    ("ein kleiner Infarkt", ["ein kleiner infarkt"]), ("large; drop table", ["drop table"]),
    ("", []), ("a scar in the wall", []), ("posteroinferior", ["posteroinferior"]), ("small-ish", ["small-ish"]),
])
def test_what_is_not_understood_is_named(text: str, unknown: list[str]) -> None:
    assert list(read_words(text, EDITS).unknown) == unknown


@pytest.mark.parametrize("text", ["", "a scar in the wall", "ein Infarkt", "%", "..."])
def test_nothing_understood_asks_for_nothing(text: str) -> None:
    found = read_words(text, EDITS)
    assert not found.numbers and not found.words and not found.meanings and not found.unmet


@pytest.mark.parametrize(("text", "fault"), [
    ("small large scar", "'small' and 'large' contradict each other: give one size"),
    ("subendocardial transmural", "contradict each other: give one layer"),
    ("no scar, large", "'no scar' and 'large' contradict each other"),
    ("small scar, 40 % of the wall", "'small' stands for 3 to 10 % of the wall, but 40 % is stated"),
    ("basal and apical", "give one level"), ("12 % scar, 20 % of the wall", "give one share"),
    ("circumferential scar of the inferior wall", "no single place"), ("x" * 1001, "expected at most 1000"),
])
def test_contradictions_are_faults(text: str, fault: str) -> None:
    found = read_words(text, EDITS)
    assert fault in found.faults[0] and not found.numbers


def test_what_no_column_takes_is_told() -> None:
    found = read_words("small scar in the inferior wall with microvascular obstruction, extent 70 degrees", GRID)
    assert [line.split(":")[0] for line in found.unmet] == [
        "'inferior'", "'extent 70 degrees'", "'with microvascular obstruction'"]
    opposite = read_words("anterior and inferior wall", EDITS)
    assert "no common middle" in opposite.unmet[0] and not opposite.numbers


def test_the_vocabulary_is_understood() -> None:
    for phrases in RULES.vocabulary.values():
        for phrase in phrases:
            found = read_words(phrase, EDITS)
            assert (found.meanings or found.unmet) and not found.unknown and not found.faults, phrase
    assert set(RULES.vocabulary["wall"]) == {*WALLS, *APICAL_WALLS}
    example = read_words(RULES.example, EDITS)
    assert len(example.meanings) == 3 and len(example.unmet) == 1 and not example.unknown
    assert len(read_words(RULES.example, GRID).meanings) == 3


def test_anyone_can_describe_a_label_map() -> None:
    labels = ring(150, 210, 0, 0.4)
    assert describe(labels.astype(np.int64), 0.9, 330.0) == RULES.describe(labels, 0.9, 330.0)
    assert describe(np.zeros((8, 8), int)) == "No scar."
    without = replace(get_domain("lge"), words=None)
    for arguments, message in (
            (([labels],), "expected one label map of 2 axes"), ((labels, 1.5), "slice_position = 1.5"),
            ((labels, None, np.nan), "insertion_deg = nan"), ((labels + 9,), "describe"),
            ((labels, None, None, without), "has no words")):
        with pytest.raises(InputError, match=message):
            describe(*arguments)
