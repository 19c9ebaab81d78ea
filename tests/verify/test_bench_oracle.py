"""The benchmark of the one pass: what it measures is what it says; no absolute times."""

import json
import mmap
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from afi_verify.cli import app

torch = pytest.importorskip("torch")

from afi_verify.bench import oracle  # noqa: E402
from afi_verify.bench.memory import STATUS, read_status, watch_anonymous  # noqa: E402
from afi_verify.bench.methods import METHODS, make_methods  # noqa: E402
from afi_verify.bench.oracle import SCHEMA, run_comparison, run_scaling  # noqa: E402
from afi_verify.bench.oracle_page import make_study  # noqa: E402
from afi_verify.bench.timing import take_turns, torch_threads  # noqa: E402

# torch.func.jvp itself uses what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

MEASURED = ("ours", "torch.func.vjp")
TINY = ["bench", "oracle", "--batch", "2", "--atoms", "8", "--dimension", "8", "--repeats", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The command with all its experiments, tiny: the document, the folders of the report and of the large file.

    Memory takes a process for each method, which is slow: of two methods it is measured.
    """
    pytest.importorskip("distributed")
    report, folder = tmp_path_factory.mktemp("report"), tmp_path_factory.mktemp("large")
    sizes = ["--large-atoms", "3000", "--large-dimension", "16", "--folder", str(folder)]
    measure = oracle.peak_of_method
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracle, "peak_of_method", lambda name, *_: measure(name, *_) if name in MEASURED else None)
        done = CliRunner().invoke(app, [*TINY, "--scaling", "--large", *sizes, "--report", str(report), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), report, folder


@pytest.mark.parametrize("log_snr", [-8.0, 0.0, 8.0])
def test_all_methods_compute_the_same(log_snr):
    methods = make_methods(3, 50, 20, log_snr)
    ours = methods["ours"]()
    for name in ("torch.func.jvp", "torch.func.vjp", "naive autograd"):
        score, curvature = methods[name]()
        curvature = curvature[0] if isinstance(curvature, tuple) else curvature
        torch.testing.assert_close(ours.score, score, rtol=2e-3, atol=2e-3)
        torch.testing.assert_close(ours.fisher_vector_product, -curvature, rtol=2e-2, atol=2e-3)


def test_ours_is_much_faster_than_differences_of_shape_b_n_d():
    methods = make_methods(4, 256, 4096, -8.0)
    with torch_threads(1):  # threads that wait for a busy core take processor time, too
        times = take_turns({name: methods[name] for name in ("ours", "naive autograd")}, 5)
    assert min(times["naive autograd"].processor) > 5 * min(times["ours"].processor)


@pytest.mark.filterwarnings("default")  # distributed leaves sockets to the garbage collector
def test_the_document_holds_every_number(everything):
    document, _, _ = everything
    assert document["schema"] == SCHEMA
    assert document["comparison"]["methods"].keys() == METHODS.keys()
    for name, method in document["comparison"]["methods"].items():
        assert method["median_s"] > 0
        assert method["ratio_to_ours"] > 0
        assert method.keys() >= {"min_s", "processor_median_s", "processor_ratio_to_ours", "peak_bytes"}
        assert isinstance(method["peak_bytes"], int) == (name in MEASURED and STATUS.exists())
    assert document["comparison"]["threads"] == 1
    for fit in document["scaling"].values():
        assert len(fit["sizes"]) == len(fit["median_s"])
        assert isinstance(fit["exponent"], float)
    large = document["large"]
    assert large["file_bytes"] == 3000 * 16 * 4 + 128
    assert large["largest_difference"] < 1e-5
    assert large["ratio"] == large["two_workers_s"] / large["one_process_s"]


def test_the_report_is_written_and_the_file_of_atoms_removed(everything):
    document, report, folder = everything
    written = json.loads((report / "results.json").read_text("utf-8"))
    del written["page"]  # what the landing page says of it
    assert written == document
    page = (report / "index.html").read_text("utf-8")
    assert all(title in page for title in ("Beside other methods", "At every noise level", "Growth", "A memory map"))
    assert not list(folder.iterdir())
    for option in ("--batch 2", "--threads 1", "--scaling", "--large-atoms 3000", "--folder DIR", "--report DIR"):
        assert option in document["command"]
        assert option in page


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_killed_benchmark_removes_its_file(tmp_path, number):
    pytest.importorskip("distributed")
    script = "import signal, sys; from pathlib import Path; from afi_verify.bench.large import run_large; "
    # Where tests run in the background, children ignore SIGINT.
    script += "signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "run_large(Path(sys.argv[1]), 2_000_000, 512, listen=lambda what: print(what, flush=True))"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "writing" in process.stdout.readline()
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_memory(monkeypatch):
    """Memory takes a process for each method, which is slow."""
    monkeypatch.setattr("afi_verify.bench.oracle.peak_of_method", lambda *_: None)


@pytest.mark.usefixtures("no_memory")
def test_without_json_there_are_lines_and_the_progress_is_elsewhere():
    done = CliRunner().invoke(app, TINY)
    assert done.exit_code == 0
    assert "two stacked products" in done.stdout
    assert "warming up" in done.stderr
    assert "warming up" not in done.stdout


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--atoms", "0"], "--atoms"),
        (["--large", "--folder", "no/such/folder"], "no folder"),
    ],
)
def test_unusable_arguments_are_named(arguments, message):
    done = CliRunner().invoke(app, [*TINY, *arguments])
    assert done.exit_code == 2
    assert message in done.stderr


def test_exponents_are_slopes_on_logarithmic_scales(monkeypatch):
    import afi_verify.bench.oracle as bench

    class Fixed:
        def __init__(self, median):
            self.median = median

    times = {"ours": lambda n, d: n**1.5 * d**0.5, "two stacked products": lambda n, d: n**0.9 * d**1.1}
    monkeypatch.setattr(bench, "make_ours_and_bound", lambda *_: dict.fromkeys(times))
    monkeypatch.setattr(bench, "take_turns", lambda keys, *_: {(m, s): Fixed(times[m](*s)) for m, s in keys})
    scaling = run_scaling(1, 4, 16, 1)
    assert scaling["atoms"]["exponent"] == pytest.approx(1.5)
    assert scaling["dimension"]["exponent"] == pytest.approx(0.5)
    assert scaling["atoms"]["bound_exponent"] == pytest.approx(0.9)
    assert scaling["dimension"]["bound_exponent"] == pytest.approx(1.1)


@pytest.mark.usefixtures("no_memory")
def test_a_page_marks_what_misses_its_target():
    document = {
        "command": "",
        "environment": {},
        "comparison": run_comparison(1, 4, 4, 1),
        "scaling": None,
        "large": None,
    }
    method = document["comparison"]["methods"]["torch.func.jvp"]
    method["ratio_to_ours"] = 3.9
    (row,) = (row for row in make_study(document).sections[0].tables[0].rows if row[0] == "torch.func.jvp")
    assert row[4].tone == "fail"
    method["ratio_to_ours"] = 4.1
    (row,) = (row for row in make_study(document).sections[0].tables[0].rows if row[0] == "torch.func.jvp")
    assert row[4].tone == "pass"


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with torch_threads(1) as used:
        assert used == 1
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")
def test_anonymous_memory_is_seen():
    with watch_anonymous(0.001) as watch:
        before = read_status("RssAnon")
        # Not from the allocator, which may hand out what is resident already.
        block = mmap.mmap(-1, 64 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.write(b"x" * len(block))
    assert watch.peak > before + 60 * 2**20
