"""The same numbers from memory, a memory map, a stream, a dask array and a cluster."""

import pickle

import numpy as np
import pytest

from afi_reference.accumulator import accumulate, finish, shards, start, update
from afi_reference.accumulator.arrays import like

QUANTITIES = (
    "log_density",
    "score",
    "posterior_mean",
    "posterior_second_moment",
    "fisher_trace",
    "fisher_vector_product",
)


@pytest.fixture
def case():
    rng = np.random.default_rng(3)
    atoms = 5 + rng.standard_normal((200, 8))
    weights = rng.random(200)
    x = atoms[:3] + 0.5 * rng.standard_normal((3, 8))
    v = rng.standard_normal((3, 8))
    return {"x": x, "alpha": 1.0, "sigma": 0.5, "atoms": atoms, "weights": weights, "v": v}


def assert_same(left, right):
    for name in QUANTITIES:
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-10, err_msg=name)


@pytest.fixture
def mapped(case, tmp_path):
    np.save(tmp_path / "atoms.npy", case["atoms"])
    return np.load(tmp_path / "atoms.npy", mmap_mode="r")


def test_memory_map(case, mapped):
    result = accumulate(**{**case, "atoms": mapped}, chunk=33)
    assert_same(result, accumulate(**case))
    assert type(result.score) is np.ndarray


def test_memory_map_for_torch(case, mapped):
    torch = pytest.importorskip("torch")
    x, v = torch.from_numpy(case["x"]), torch.from_numpy(case["v"])
    result = accumulate(**{**case, "x": x, "v": v, "atoms": mapped}, chunk=33)
    assert_same(result, accumulate(**case))


def test_a_memory_map_is_not_copied_for_torch(case, mapped):
    pytest.importorskip("torch")
    import torch

    tensor = like(mapped[50:], torch.from_numpy(case["x"]))
    assert tensor.data_ptr() == mapped[50:].ctypes.data
    assert not mapped.flags.writeable


def test_integers_are_atoms(case):
    pixels = (40 * case["atoms"]).astype(np.uint8)
    whole = pixels.astype(np.float64)
    assert_same(accumulate(**{**case, "atoms": pixels}), accumulate(**{**case, "atoms": whole}))


def test_stream_of_chunks_with_weights(case):
    atoms, weights = case["atoms"], case["weights"]
    stream = ((atoms[i : i + 30], weights[i : i + 30]) for i in range(0, 200, 30))
    assert_same(accumulate(**{**case, "atoms": stream, "weights": None}), accumulate(**case))


def test_stream_of_bare_chunks(case):
    chunks = iter(np.split(case["atoms"], 5))
    uniform = {**case, "weights": None}
    assert_same(accumulate(**{**uniform, "atoms": chunks}), accumulate(**uniform))


def test_weights_apart_from_their_stream_are_refused(case):
    with pytest.raises(ValueError, match="with its chunks"):
        accumulate(**{**case, "atoms": iter([case["atoms"]])})


def test_an_empty_stream_has_no_posterior(case):
    with pytest.raises(ValueError, match="no atom"):
        accumulate(**{**case, "atoms": iter([]), "weights": None})


def test_a_state_survives_pickling(case):
    begin = start(case["x"], case["alpha"], case["sigma"], case["v"])
    half = update(begin, case["atoms"][:100], case["weights"][:100])
    half = pickle.loads(pickle.dumps(half))
    assert_same(finish(update(half, case["atoms"][100:], case["weights"][100:])), accumulate(**case))


@pytest.mark.parametrize("blocks", [(200, 8), (17, 8), (64, 3)])
@pytest.mark.parametrize("kind", ["uniform", "array", "dask"])
def test_dask_array(case, blocks, kind):
    da = pytest.importorskip("dask.array")
    import dask

    atoms = da.from_array(case["atoms"], chunks=blocks)
    weights = case["weights"] if kind != "uniform" else None
    expected = accumulate(**{**case, "weights": weights})
    if kind == "dask":
        weights = da.from_array(weights, chunks=41)
    with dask.config.set(scheduler="threads"):
        assert_same(accumulate(**{**case, "atoms": atoms, "weights": weights}), expected)


@pytest.mark.parametrize("rows", [33, 200, 1000])
def test_shards_of_a_file(case, mapped, rows):
    pytest.importorskip("dask.array")
    import dask

    with dask.config.set(scheduler="threads"):
        assert_same(accumulate(**{**case, "atoms": shards(mapped.filename, rows)}), accumulate(**case))


@pytest.mark.filterwarnings("default")  # distributed leaves sockets to the garbage collector
def test_dask_cluster(case):
    distributed = pytest.importorskip("distributed")
    da = pytest.importorskip("dask.array")
    atoms = da.from_array(case["atoms"], chunks=(30, 8))
    with distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None):
        assert_same(accumulate(**{**case, "atoms": atoms}), accumulate(**case))


def test_dask_shapes_are_checked(case):
    da = pytest.importorskip("dask.array")
    atoms = da.from_array(case["atoms"])
    with pytest.raises(ValueError, match="one per atom"):
        accumulate(**{**case, "atoms": atoms, "weights": np.ones(7)})
