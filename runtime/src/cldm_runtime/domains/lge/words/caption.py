"""One sentence on the scar of a slice. The wording is this project's own."""

from .facts import LAYER_WORDS, ScarFacts, rounded, size_word


def caption(facts: ScarFacts) -> str:
    """The sentence, of which `reading.facts_from` gives the facts back as `facts.rounded` rounds them."""
    known = rounded(facts)
    level = f", {known.level} level" if known.level else ""
    if known.infarct_size == 0 and not known.layer:
        return f"No scar{level}."
    kind = " ".join(filter(None, (size_word(known.infarct_size), LAYER_WORDS.get(known.layer, ""), "scar")))
    blocked = " with microvascular obstruction" if known.mvo else ""
    text = f"{kind}{_place(known)}{blocked}{level}: {', '.join(_numbers(known))}."
    return text[0].upper() + text[1:]


def _place(facts: ScarFacts) -> str:
    if facts.walls:
        *others, last = facts.walls
        return f" in the {', '.join(others)}{' and ' if others else ''}{last} wall"
    if facts.clock:
        first, last_hour = facts.clock
        return f" at {first} o'clock" if first == last_hour else f" from {first} to {last_hour} o'clock"
    return " on all sides" if facts.angle_deg is None and facts.extent_deg is not None else ""


def _numbers(facts: ScarFacts) -> list[str]:
    origin = "12 o'clock" if facts.clock else "the insertion"
    stated = (
        (facts.infarct_size, "{:.1f} % of the wall", 100), (facts.transmurality, "{:.1f} % deep", 100),
        (facts.endocardial_surface_length, "{:.1f} % of the endocardium", 100),
        (facts.mvo or None, "{:.1f} % obstructed", 100),
        (facts.angle_deg, f"centre at {{:.0f}} degrees from {origin}", 1),
        (facts.extent_deg, "extent {:.0f} degrees", 1))
    return [text.format(value * scale) for value, text, scale in stated if value is not None]
