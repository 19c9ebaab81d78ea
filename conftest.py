"""Make the tests see one copy of the three packages, and one another.

`python -m pytest` puts this folder at the head of sys.path, where `afi_verify/` would shadow one third of a regular
install and leave the other two thirds to it. At the end of sys.path it serves an editable install, which resolves all
three packages here, and `from tests.zoo.specimen import MUTANTS` in any.
"""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# Two test processes with two threads each on two cores mostly wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_variable, "1")

_heads = [path for path in sys.path if Path(path or os.curdir).resolve() == _HERE]
sys.path[:] = [path for path in sys.path if path not in _heads] + [str(_HERE)]

# A package of its own, whose tests run in an environment of its own: tests/ecosystem/test_third_party.py.
collect_ignore = ["tests/third_party"]
