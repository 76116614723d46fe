"""The campaigns, a few times each; docs/reliability.md has the figures of the long ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(("campaign", "times"), [("generate", 3), ("evaluate", 3), ("twice", 2), ("disk", 3)])
def test_nothing_is_lost_doubled_or_half_written(campaign: str, times: int) -> None:
    script = Path(__file__).with_name("campaigns.py")
    done = subprocess.run([sys.executable, str(script), campaign, "--times", str(times)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["finished"] >= 1 and not [name for name in counts if name.startswith("wrong")]
