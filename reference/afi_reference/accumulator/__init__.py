"""Everything about a mixture of Diracs at a point (eq. 10 to 16), in one pass over its atoms.

:func:`accumulate` takes atoms from memory, a memory map, a stream or a cluster; :func:`start`, :func:`update`,
:func:`merge` and :func:`finish` are its parts. Written once against the array API: the arrays may be NumPy's,
torch's, CuPy's or JAX's, in float32 or float64, and what comes back is of the same kind as ``x``.

Accuracy, in multiples of the attainable error (inputs rounded, and one rounding of each squared distance):
products of matrices give distances as ``|x|^2 - 2 x.y + |y|^2``, which is exact to a few roundings of the data,
not of the distance. So every moment is taken about an atom near the point, and a pair of point and atom that
matters but that products cannot resolve (clusters and duplicates at low noise) is computed again from its
differences. With that, errors stay of the order of the attainable; ``accurate=False`` leaves it out, for
speed where the noise is known to be high: errors then grow with ``alpha^2 |y|^2 / |x - alpha y|^2``.

Atoms are taken in blocks that stay in cache for the second product; a block is ordinary, and costs two products and
the norms of its atoms, unless an anchor has to move or a pair has to be computed again (see ``guard``).

Two limits remain. A covariance loses up to a factor ``|anchor - mean|^2 / tr Cov``, at most the inverse of the
posterior probability of the most probable atom: it takes an outlier that is as probable as each of many atoms
in a tight cluster. And the time of the second computation is ``O(d)`` for each pair that needs it: all of them,
several times slower than products, for dense data of few dimensions at low noise.
"""

from afi_reference.accumulator.one_pass import accumulate
from afi_reference.accumulator.posterior import Posterior, finish
from afi_reference.accumulator.sources import shards
from afi_reference.accumulator.state import Query, State, merge, start
from afi_reference.accumulator.update import update

__all__ = ["Posterior", "Query", "State", "accumulate", "finish", "merge", "shards", "start", "update"]
