"""The accumulator in one call."""

from collections.abc import Iterable
from typing import Any

from afi_reference.accumulator import sources
from afi_reference.accumulator.arrays import Array
from afi_reference.accumulator.posterior import Posterior, finish
from afi_reference.accumulator.state import start
from afi_reference.accumulator.update import update


def accumulate(
    x: Array,
    alpha: Array | float,
    sigma: Array | float,
    atoms: Array | Iterable[Any],
    weights: Array | None = None,
    v: Array | None = None,
    *,
    chunk: int | None = None,
    accurate: bool = True,
) -> Posterior:
    """Return log density, score, posterior moments and Fisher information of a mixture of Diracs.

    Reads each atom once. Time ``O(B N d)``, memory beyond the inputs a few chunks and a few arrays of the size
    of ``x``. See :mod:`afi_reference.accumulator` for the accuracy.

    Parameters
    ----------
    x
        Points, shape (B, d), of NumPy, torch, CuPy or JAX, in the dtype of all computations.
    alpha, sigma
        Noise levels: numbers, or shape (B,).
    atoms
        An array of shape (N, d); a memory map (``np.load(path, mmap_mode="r")``); an iterable of arrays of
        shape (n, d), or of pairs of such an array and its weights; or a dask array, whose blocks are reduced
        by whatever scheduler dask has, one on a cluster included.
    weights
        Shape (N,), not negative; they are divided by their sum. Uniform by default.
    v
        Directions for the product with the Fisher information, shape (B, d).
    chunk
        Atoms at a time. By default as many as fit in the processor's cache.
    accurate
        Whether to compute again from differences what products of matrices cannot resolve.

    Raises
    ------
    ValueError
        If a shape does not fit, a noise level is not positive, or there is no atom of positive weight.
    """
    state = start(x, alpha, sigma, v, accurate=accurate)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1 atom; got {chunk}.")
    if sources.is_dask(atoms):
        state = sources.over_dask(state, atoms, weights, chunk)
    elif sources.is_array(atoms):
        state = update(state, atoms, weights, block=chunk)
    elif weights is not None:
        raise ValueError("give the weights of a stream with its chunks: pairs of atoms and weights.")
    else:
        state = sources.over_stream(state, atoms, chunk)
    return finish(state)
