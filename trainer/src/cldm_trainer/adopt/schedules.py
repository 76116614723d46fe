"""The noise that a network was trained with."""

from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.errors import InputError

from .description import ScheduleFacts


def described_schedule(facts: ScheduleFacts) -> NoiseSchedule:
    """Raises InputError for numbers that are no schedule."""
    steps, kind = facts.timesteps, facts.predicts
    if steps < 1 or not 0 < facts.beta_start <= facts.beta_end < 1:
        raise InputError(f"schedule: found {steps} timesteps, beta {facts.beta_start:g} to {facts.beta_end:g}, expected"
                         " at least 1, and rising numbers between 0 and 1.")
    if (facts.betas == "flow") != (kind == "flow"):
        raise InputError(f"schedule: found betas = {facts.betas!r} and predicts = {kind!r}, expected flow for both or "
                         "for neither.")
    if facts.betas == "flow":
        return NoiseSchedule.flow(steps, prediction_type=kind)
    if facts.betas == "cosine":
        schedule = NoiseSchedule.cosine(steps, prediction_type=kind)
    else:
        make = NoiseSchedule.linear if facts.betas == "linear" else NoiseSchedule.scaled_linear
        schedule = make(steps, facts.beta_start, facts.beta_end, prediction_type=kind)
    return schedule.zero_terminal_snr() if facts.zero_terminal_snr else schedule
