"""`cldm-train prepare`: the raw dataset becomes the cohort that every other stage reads."""

from cldm_runtime.cli.prepare import prepare_cohort
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings


def run(cohort: CohortSettings, section: PrepareSettings) -> None:
    """Write cohort.h5 where it is missing, and print a line for each subset; `cldm prepare` does the same."""
    prepare_cohort(cohort, section)
