"""What manifests say about conditions."""

import pytest

from cldm_trainer.conditions.registry import KINDS

EXPORTED = [kind.facts for kind in KINDS.values() if kind.facts is not None]


@pytest.mark.parametrize("facts", EXPORTED, ids=lambda facts: facts.name)
def test_in_pixels_a_condition_speaks_of_no_latents(facts) -> None:
    if facts.source == "images":  # such a bundle draws label maps, and never in pixels
        return
    pixels = facts.in_pixels()
    assert "diffusion on the pixels" in pixels.description and "latent diffusion" not in pixels.description
    assert "mask codec" not in pixels.meaning and "latent of the label map" not in pixels.description
    assert (pixels.name, pixels.encoder, pixels.feeds) == (facts.name, facts.encoder, facts.feeds)


def test_label_maps_are_drawn_freely_of_attributes_and_of_images() -> None:
    assert [name for name, kind in KINDS.items() if kind.draws_labels] == ["none", "attributes", "image"]
