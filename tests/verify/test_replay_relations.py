"""A violated relation is replayed by its id and by its script; the corrected function is right by both."""

import os
import subprocess
import sys

import pytest

from afi_verify import verify
from afi_verify.examination import Kind
from afi_verify.loading import load_adapters
from afi_verify.replay import replay, report_lines
from afi_verify.results import Verdict

HANDED = """
import numpy as np
from afi_verify import Adapter

afi = Adapter("mine")

@afi.provides("fisher_vector_product")
def product(x, v, alpha, sigma, data):
    return v / sigma**2 * WRONG
"""

UNKNOWN = """
import numpy as np
from afi_verify import Adapter

afi = Adapter("mine", event_shape=(2,), model="network")

@afi.provides("fisher_vector_product")
def product(x, v, sigma):
    return v / sigma**2 * WRONG
"""


@pytest.mark.parametrize("text", [HANDED, UNKNOWN], ids=["data handed over", "unknown data"])
def test_by_id_and_by_script(text, tmp_path):
    wrong, right = tmp_path / "wrong.py", tmp_path / "right.py"
    wrong.write_text(text.replace("WRONG", "np.abs(v)"))
    right.write_text(text.replace("WRONG", "1"))
    report = verify(*load_adapters(str(wrong)), scenarios=["no-oracle"])
    check = next(c for c in report.results.checks if c.claim == "linearity")
    assert check.verdict is Verdict.FAIL
    example = check.simplest
    for name in ("linearity", check.id):
        ((team, finding),) = replay(str(wrong), name, example.id)
        assert finding.kind is Kind.WRONG
    lines = "\n".join(report_lines(team, finding))
    assert lines.startswith("wrong: mine float64, fisher_vector_product (linearity)")
    assert finding.worst == pytest.approx(example.error)
    ((_, finding),) = replay(str(right), "linearity", example.id)
    assert finding.kind is Kind.RIGHT
    script = tmp_path / "replay.py"
    script.write_text(example.script)
    environment = {**os.environ, "PYTHONPATH": ""}
    for file, status in ((wrong, 1), (right, 0)):
        command = [sys.executable, str(script), str(file)]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert answer.returncode == status, answer.stdout + answer.stderr
