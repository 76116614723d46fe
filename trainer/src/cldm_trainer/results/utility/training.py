"""Trains one small segmenter on several sets of images and label maps.

    <run folder>/utility/<set>-<seed>-<digest>/    as every stage leaves it; the digest is that of all it depends on

Every training has the same network, steps and batch size, whatever it learns from.
"""

from torch import nn

from cldm_runtime.files.derived import Derivation

from ...config.validity import SegmenterRecipe
from ...training.run_folder import RunFolder
from ..validity.training import TrainingPairs, fitted, task_on, weights_settings

STAGE = "utility"


def derivation(pairs: TrainingPairs, recipe: SegmenterRecipe, seed: int, run: RunFolder) -> Derivation:
    """What a trained segmenter depends on."""
    settings = {**weights_settings(recipe), "seed": seed}
    if recipe.share < 1:
        settings["patients_seed"] = run.settings.seed
    return Derivation({"cohort": run.cohort.sha256, "pairs": pairs.origin}, settings)


def trained_on(pairs: TrainingPairs, recipe: SegmenterRecipe, seed: int, run: RunFolder) -> nn.Module:
    """The network, trained on the pairs now unless it was before, in evaluation mode on the CPU."""
    made = derivation(pairs, recipe, seed, run)
    folder = run.own(STAGE) / f"{pairs.name}-{seed}-{made.sha256[:12]}"
    return fitted(lambda: task_on(pairs, recipe, run), recipe, run, folder, made, seed)
