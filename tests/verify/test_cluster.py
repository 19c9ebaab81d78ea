"""Results do not depend on where the checks ran: one process, two, or a dask cluster."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("distributed", reason="needs dask (the extra `dask`)")

ADAPTERS = """
import os
import numpy as np
from afi_verify import Adapter

adapters = [Adapter(f"mine {dtype}", dtype=dtype) for dtype in ("float64", "float32", "float16")]


def mean(x, alpha, sigma, eps):
    return ((x - sigma * eps) / alpha).astype(x.dtype)


def score(x, alpha, sigma, eps):
    if x.dtype == np.float32:
        os._exit(9)
    print("wrong")
    return (eps * sigma).astype(x.dtype)


for adapter in adapters:
    adapter.provides("posterior_mean", mean)
    adapter.provides("score", score)
"""

CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def cluster(tmp_path):
    """The address of a cluster of two processes."""
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, str(script)], text=True, **pipes) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(60)


def run(folder, *options, program=("-m", "afi_verify")):
    head = [sys.executable, *program, "run", "adapters.py", "--scenario", "dirac", "--json"]
    roles = ["--role", "posterior_mean", "--role", "score"]
    return subprocess.run([*head, *roles, *options], cwd=folder, capture_output=True, text=True, check=False)


def as_found(done):
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    environment = document.pop("environment")
    del document["seconds"]
    return json.dumps(document, indent=1), environment["processes"]


def test_one_process_two_and_a_cluster_find_the_same(tmp_path, cluster):
    (tmp_path / "adapters.py").write_text(ADAPTERS)
    one, two, far = (run(tmp_path, *options) for options in (("-j", "1"), ("-j", "2"), ("--cluster", cluster)))
    expected, processes = as_found(one)
    assert (processes, json.loads(expected)["sum"]["error"]) == ("1", 1)
    assert as_found(two) == (expected, "2")
    assert as_found(far) == (expected, "2")


def test_any_backend_of_joblib_finds_the_same(tmp_path):
    """Also one whose pool would break if one of its own processes died: the float32 score ends the process."""
    import joblib

    from afi_verify import verify
    from afi_verify.loading import load_adapters
    from afi_verify.results import to_json

    (tmp_path / "adapters.py").write_text(ADAPTERS)
    adapters = load_adapters(str(tmp_path / "adapters.py"))
    found = []
    for chosen in ({}, {"backend": "loky"}):
        with joblib.parallel_config(**chosen):
            results = verify(*adapters, scenarios=["dirac"], roles=["score"], jobs=2).results
        document = json.loads(to_json(results))
        found.append({name: document[name] for name in ("adapters", "output", "sum")})
    assert found[0]["sum"]["error"] == 1
    assert found[1] == found[0]


def test_no_cluster_is_said(tmp_path):
    (tmp_path / "adapters.py").write_text(ADAPTERS)
    impatient = "import afi_verify.cli, afi_verify.cluster as cluster; cluster._TO_CONNECT = 1; afi_verify.cli.main()"
    done = run(tmp_path, "--cluster", "tcp://127.0.0.1:9", program=("-c", impatient))
    assert done.returncode == 2
    assert "--cluster tcp://127.0.0.1:9: there is no cluster" in done.stderr
    assert "Traceback" not in done.stderr
