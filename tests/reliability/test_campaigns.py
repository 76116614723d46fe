"""The campaigns, a few times each; docs/reliability.md has the figures of the long ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(("campaign", "times"),
                         [("generate", 1), *(pytest.param(name, times, marks=pytest.mark.long) for name, times in (
                             ("generate", 20), ("evaluate", 20), ("twice", 10), ("disk", 10), ("readonly", 2)))])
def test_nothing_is_lost_doubled_or_half_written(campaign: str, times: int) -> None:
    script = Path(__file__).with_name("campaigns.py")
    done = subprocess.run([sys.executable, str(script), campaign, "--times", str(times)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["finished"] >= 1 and not [name for name in counts if name.startswith("wrong")]


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_killed_worker_loses_the_part_that_it_was_at() -> None:
    script = Path(__file__).with_name("lost_work.py")
    done = subprocess.run([sys.executable, str(script), "--runs", "2", "--workers", "2"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["killed"] == 2 and found["most in a run"] <= found["samples of a part"]
