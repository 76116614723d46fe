"""MODEL_CARD.md, written from the finished manifest alone (after Mitchell et al., FAT* 2019)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cldm_runtime.bundle.declarations import carried_domain
from cldm_runtime.bundle.manifest import GraphSpec, Manifest
from cldm_runtime.bundle.nature import trained_on_sentence
from cldm_runtime.bundle.obedience import read_obedience, weakness
from cldm_runtime.bundle.outputs import draws_labels
from cldm_runtime.domains.domain import Domain

_SEEN = "It has seen the training cohort and nothing else: "
_UNKNOWN = {"phantom": "how well it works for images of patients is unknown."}  # by nature
_UNKNOWN_ELSE = "other sequences, scanners, spacings and diseases are unknown."
_GENERATOR_LIMITS = (
    "Obedience is not perfect: an image differs a little from the label map that it was made from. Measure it "
    "(`cldm evaluate`) before you draw conclusions about a segmenter.",
    "Label maps outside the training range (`attribute_distribution` in manifest.json) give images of unknown quality.",
    "Few sampling steps shrink samples towards the mean image: agreement rises while texture is lost. Keep the default "
    "number, or look at latent spread and high-frequency energy as well.",
    "Guidance above 1 makes images more typical of their condition, and those of one condition more alike, than the "
    "cohort's are.",
)
_ATTRIBUTE_LIMITS = (
    "Obedience is not perfect: what an image shows differs from the attributes that it was made from, and no label map "
    "says where. Measure it with a segmenter (`cldm evaluate`) before you draw conclusions.",
    *_GENERATOR_LIMITS[2:],
)
_LABEL_LIMITS = (
    "Its codec rounds off what is smaller than a few voxels; see the Dice of its reconstructions among the figures.",
    "Few sampling steps shrink samples towards the mean label map. Keep the default number, or look at the sizes too.",
    "The variance over samples of one image shows the doubt of this network, not that of a reader.",
)
_ANATOMY_LIMITS = (
    "It has seen the label maps of the training cohort and nothing else: it draws anatomies as that cohort has them, "
    "and refuses attributes that they do not reach.",
    "Its borders are smoother than hand-drawn ones, and fine details are lost.",
    "Details that no attribute asks for are drawn rarely and roughly.",
)
_SINGLE_SLICES = "Single slices: neighbouring slices of a stack are made independently of each other."


def generator_card(manifest: Manifest, captions: Mapping[str, str]) -> str:
    """The card of a generator; captions of its pictures by file name."""
    sampling, schedule = manifest.sampling, manifest.schedule
    assert sampling is not None and schedule is not None  # a generator's manifest was checked
    use = (
        f"cldm-gen --bundle {manifest.name} --n 256 --attributes grid.csv --out samples.h5\ncldm verify {manifest.name}"
    )
    facts = {
        "sampling": f"{sampling.sampler}, {sampling.steps} steps, {sampling.spacing} spacing, eta {sampling.eta:g}, "
        f"guidance {sampling.guidance:g}",
        "prediction": f"{schedule.prediction_type}, {schedule.train_timesteps} training timesteps",
        **_image_facts(manifest),
    }
    if manifest.distilled:
        facts["distilled"] = (f"from {manifest.distilled.teacher}, with its guidance {manifest.distilled.guidance:g}; "
                              "serves these steps only")
    short = weakness(read_obedience(manifest.quality), _domain(manifest))
    general = _GENERATOR_LIMITS if "masks" in manifest.sources else _ATTRIBUTE_LIMITS
    if draws_labels(manifest):
        use, general = _use_of_labels(manifest), _LABEL_LIMITS
    limits = (*filter(None, [short]), _seen(manifest), *general, *_of_the_domain(manifest))
    return _card(manifest, facts, use, limits, captions)


def _use_of_labels(manifest: Manifest) -> str:
    """Commands for a bundle that draws label maps."""
    if "images" in manifest.sources:
        return f"cldm segment cases/ --bundle {manifest.name} --samples 30\ncldm verify {manifest.name}"
    if manifest.conditions:
        return (f"cldm-gen --bundle {manifest.name} --n 250 --attributes grid.csv --out labels.h5\n"
                f"cldm verify {manifest.name}")
    return f"cldm-gen --bundle {manifest.name} --n 250 --out labels.h5\ncldm verify {manifest.name}"


def segmenter_card(manifest: Manifest, captions: Mapping[str, str]) -> str:
    """The card of a segmenter; captions of its pictures by file name."""
    use = f"cldm segment samples.h5 --segmenter {manifest.name}\ncldm verify {manifest.name}"
    limits = (_seen(manifest), *_false_findings(manifest), *_of_the_domain(manifest))
    return _card(manifest, _image_facts(manifest), use, limits, captions)


def anatomy_card(manifest: Manifest, captions: Mapping[str, str]) -> str:
    """The card of an anatomy; captions of its pictures by file name."""
    prior = manifest.latent_prior
    assert prior is not None  # an anatomy's manifest was checked
    use = (f"cldm-gen --n 256 --attributes grid.csv --anatomy learned --anatomy-bundle {manifest.name}\n"
           f"cldm verify {manifest.name}")
    facts = {
        "latent vector": f"{prior.dimensions} dimensions; {len(prior.components)} Gaussians, fitted to latent vectors "
        "and attributes of all training slices together",
        **_image_facts(manifest),
    }
    return _card(manifest, facts, use, (*_ANATOMY_LIMITS, *_of_the_domain(manifest)), captions)


def _domain(manifest: Manifest) -> Domain:
    return carried_domain(manifest.domain, manifest.declared_domain, manifest.name)


def _of_the_domain(manifest: Manifest) -> list[str]:
    """What no bundle of the domain knows, and what single slices cannot show."""
    generated = manifest.kind != "segmenter" and len(manifest.image.shape) == 2
    limits = _domain(manifest).limits
    return [*([limits] if limits else []), *([_SINGLE_SLICES] if generated else [])]


def _false_findings(manifest: Manifest) -> list[str]:
    lesion = _domain(manifest).lesion
    return [] if lesion is None else [f"It reports {lesion} on some images without any; see the false-detection rate "
                                      "in the results."]


def _card(manifest: Manifest, facts: Mapping[str, str], use: str, limits: Sequence[str],
          captions: Mapping[str, str]) -> str:
    quality = manifest.quality
    parts = [
        f"# {manifest.name}\n\n{trained_on_sentence(manifest.nature, manifest.provenance)}\n\n{manifest.description}",
        f"## Intended use\n\n{manifest.intended_use}",
        "## What it is\n\n" + _table(("", ""), facts.items()),
        "## Graphs\n\n"
        + _table(("role", "inputs", "outputs", "precision"), [_graph_row(*item) for item in manifest.graphs.items()]),
        "## Data and training\n\n" + _training(manifest),
        "## Measured quality\n\n" + _quality(quality),
        *(f"![{caption}]({name})\n\n{caption}" for name, caption in captions.items()),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits),
        f"## Use\n\n```\n{use}\n```",
        f"## Licence\n\n{manifest.licence}. Content version {manifest.bundle_version}.",
    ]
    return "\n\n".join(parts) + "\n"


def _seen(manifest: Manifest) -> str:
    if _trained_elsewhere(manifest):
        return "What it was trained on is not known here. Test it on images like yours before you rely on it."
    return _SEEN + _UNKNOWN.get(manifest.nature or "", _UNKNOWN_ELSE)


def _trained_elsewhere(manifest: Manifest) -> bool:
    """Whether the network was imported: then the run and its cohort are not what it learned from."""
    provenance = manifest.provenance
    return "imported" in provenance or provenance.get("nnunet", {}).get("trained") == "elsewhere"


def _image_facts(manifest: Manifest) -> dict[str, str]:
    image, normalisation = manifest.image, manifest.image.normalisation
    shape, spacing = (" x ".join(f"{value:g}" for value in values) for values in (image.shape, image.spacing_mm))
    points, sample = ("pixels", "slice") if len(image.shape) == 2 else ("voxels", "volume")
    several = image.channels > 1
    return {
        "images": f"{shape} {points} of {spacing} mm, {image.channels} channel{'s' if several else ''}",
        "normalisation": f"percentiles {normalisation.low:g} and {normalisation.high:g} of each "
                         f"{'channel of each ' if several else ''}{sample}, clipped",
        "labels": ", ".join(f"{value} {name}" for value, name in enumerate(manifest.labels.names)),
        "attributes": ", ".join(f"{spec.name} ({spec.unit})" for spec in manifest.attributes) or "none",
    }


def _graph_row(role: str, graph: GraphSpec) -> tuple[str, str, str, str]:
    def spell(specs: Iterable[Any]) -> str:
        return ", ".join(f"{spec.name} ({', '.join(map(str, spec.shape))})" for spec in specs)

    return role, spell(graph.inputs), spell(graph.outputs), graph.precision


def _training(manifest: Manifest) -> str:
    provenance = manifest.provenance
    config = provenance.get("config", {})
    rows = [(name.replace("_", " "), number) for name, number in provenance.get("cohort", {}).items()]
    rows += [(f"training steps, {stage}", number) for stage, number in provenance.get("steps", {}).items()]
    rows += [(name, number) for name, number in provenance.get("software", {}).items()]
    if _trained_elsewhere(manifest):
        imported, nnunet = provenance.get("imported", {}), provenance.get("nnunet", {})
        facts = [(name.replace("_", " "), imported[name]) for name in ("source", "trained_on") if name in imported]
        facts += [(f"nnU-Net, {name}", nnunet[name]) for name in ("dataset", "plans", "trainer", "epochs")
                  if name in nnunet]
        facts += [(f"weights, {name}", f"SHA-256 {digest}") for name, digest in imported.get("weights", {}).items()]
        return "Trained elsewhere; its training data are not known here.\n\n" + _table(("", ""), [*facts, *rows])
    run = config.get("run", {}).get("name", "unnamed")
    text = f"Training run `{run}`; the resolved configuration is in manifest.json under `provenance.config`."
    if manifest.nature == "phantom":
        text += " The patients of the cohort are drawn: they are numbers, not people."
    return text + "\n\n" + _table(("", ""), rows)


def _quality(quality: Mapping[str, Any]) -> str:
    parts = []
    for name, figures in quality.get("validation", {}).items():
        if figures:
            parts.append(f"On the validation patients, {name}:\n\n" + _table(("figure", "value"), figures.items()))
    if quality.get("measured"):
        parts.append(
            "Measured with the exported bundles:\n\n" + _table(("figure", "value"), quality["measured"].items())
        )
    if quality.get("rounding"):
        parts.append(_rounding(quality["rounding"]))
    if quality.get("parity"):
        rows = [
            (p["what"], p["inputs"], p["samples"], f"{p['max_abs']:.1e}", f"{p['tolerance']:.0e}")
            for p in quality["parity"]
        ]
        head = ("graph or output", "inputs", "samples", "largest difference", "allowed")
        parts.append("Exported graphs against torch, on the machine of the export:\n\n" + _table(head, rows))
    return "\n\n".join(parts) or "Nothing was measured at export."


def _rounding(figures: Mapping[str, Any]) -> str:
    rows = [(role, f"{change:.2g}", f"{figures['limit']:g}") for role, change in figures["change"].items()]
    return (f"Weights are stored in {figures['stored']}. What rounding them changes in each graph's output, as a share "
            "of the output's standard deviation:\n\n" + _table(("graph", "change", "allowed"), rows))


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
