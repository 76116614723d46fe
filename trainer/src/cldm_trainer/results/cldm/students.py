"""Bundles of few steps against the bundles that they were distilled from, on the same test slices."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.summary import Samples
from cldm_runtime.metrics.agreement import agreement, agreement_difference

from ..figures_of_merit import Json
from ..workshop import Workshop
from .strategies import Strategy, strategy_of


def student_figures(shop: Workshop) -> list[Json]:
    """Every student that the workshop names: agreement of both, and the difference, by attribute; over the slices with
    the lesion where the domain has one. Pairs that have not been exported are left out, and named.

    Raises InputError for a student and a teacher that get different things.
    """
    pairs = []
    for student, teacher in shop.students.items():
        missing = [folder for folder in (student, teacher) if not Path(folder).exists()]
        if missing:
            shop.say(f"{' and '.join(missing)}: no such bundle, so {student} is not compared with its teacher.")
            continue
        pairs.append(_pair(*(strategy_of(shop, Path(folder).name, Path(folder)) for folder in (student, teacher))))
    return pairs


def _pair(student: Strategy, teacher: Strategy) -> Json:
    if student.shop.from_masks != teacher.shop.from_masks:
        raise InputError(f"results.students: {student.key} and {teacher.key} are not made from the same conditions. "
                         "Name the bundle that the student was distilled from.")
    return {"student": student.key, "teacher": teacher.key, "bundle": student.shop.generator.bundle.identity,
            **differences(student.test(), teacher.test())}


def differences(student: Samples, teacher: Samples) -> Json:
    """Figures of two sets of images for the same slices, in the same order."""
    truth = student.requested if student.mask is None else student.mask
    assert truth is not None  # every set of the results has one or the other
    counted = np.ones(len(student), dtype=bool) if student.with_lesion is None else student.with_lesion
    clusters = student.clusters[1]
    names = None if clusters is None else clusters[counted]
    attributes = {}
    for column, attribute in enumerate(student.domain.attributes):
        x, one, other = (table[counted, column] for table in (truth, teacher.attributes, student.attributes))
        if not (np.isfinite(x) & np.isfinite(one) & np.isfinite(other)).any():
            continue
        attributes[attribute.name] = {
            "student": asdict(agreement(x, other, names)), "teacher": asdict(agreement(x, one, names)),
            "difference": asdict(agreement_difference(x, one, other, names))}
    return {"slices": len(student), "attributes": attributes}
