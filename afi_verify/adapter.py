"""The adapter: the few lines by which a codebase says which of its functions fill which roles."""

import dataclasses
import datetime
import difflib
import inspect
import math
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from afi_properties.catalogue import ROLES, claims_of_role
from afi_properties.claim import DIRAC_PARAMETERS, HEAD_PARAMETERS, PREDICTION_PARAMETERS, AnyClaim
from afi_properties.relation import MODELS
from afi_verify.backends import BACKENDS, DTYPES
from afi_verify.errors import UnusableError
from afi_verify.known_failures import KnownFailure, make_known_failure

LONGEST_NAME = 200

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Provided:
    """A function under test: the role it fills, for which family of data, and what it asks for."""

    role: str
    claim: AnyClaim
    function: Callable[..., Any]
    parameters: frozenset[str]


class Adapter:
    """Says which functions of a codebase fill which roles.

    Parameters
    ----------
    name
        What reports call the implementation.
    backend
        ``"numpy"``, ``"torch"`` or ``"jax"``: the kind of arrays that the functions take and return.
    dtype
        ``"float64"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``: the precision they work in.
    device
        Where torch or JAX arrays live, for example ``"cuda"``.
    event_shape
        Shape of one data point, for code that takes images: ``x`` is then (B, *event_shape) and ``data``
        (N, *event_shape). Any dimension d, as (B, d), when left out.
    per_sample_noise
        Whether ``alpha`` and ``sigma`` (and ``t``) are arrays (B,) rather than numbers.
    model
        What the functions are, which says what must hold where no oracle can judge: ``"diffusion"``, the exact
        quantities of a diffused distribution; ``"potential"``, of which only the score is known to be a gradient (an
        energy-based network); ``"network"``, of which not even that is known.

    Raises
    ------
    UnusableError
        If an argument is not one of the values above.

    Examples
    --------
    >>> afi = Adapter("my-afi")
    >>> @afi.provides("fisher_trace")
    ... def trace(x, alpha, sigma, data):
    ...     ...
    """

    def __init__(
        self,
        name: str,
        *,
        backend: str = "numpy",
        dtype: str = "float64",
        device: str = "cpu",
        event_shape: tuple[int, ...] | None = None,
        per_sample_noise: bool = False,
        model: str = "diffusion",
    ) -> None:
        if not isinstance(name, str) or not name.strip():
            raise UnusableError("An adapter needs a name: Adapter('my-afi').")
        if len(name) > LONGEST_NAME or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
            raise UnusableError(
                f"An adapter's name is one line of at most {LONGEST_NAME} printable characters; got {name[:99]!r}."
            )
        if not isinstance(device, str):
            raise UnusableError(f"Adapter({name!r}): device must be text such as 'cuda'; got {device!r}.")
        _require_known(f"Adapter({name!r}): backend", backend, BACKENDS)
        _require_known(f"Adapter({name!r}): dtype", dtype, DTYPES)
        _require_known(f"Adapter({name!r}): model", model, MODELS)
        if event_shape is not None:
            event_shape = tuple(event_shape)
            if not event_shape or not all(isinstance(n, int) and n > 0 for n in event_shape):
                raise UnusableError(
                    f"Adapter({name!r}): event_shape must be a tuple of positive whole numbers, such as "
                    f"(4, 64, 64); got {event_shape!r}."
                )
        self.name = name
        self.backend = backend
        self.dtype = dtype
        self.device = device
        self.event_shape = event_shape
        self.per_sample_noise = per_sample_noise
        self.model = model
        self.source = ""  # the file or module it was found in, as the user named it
        self.functions: dict[tuple[str, str], Provided] = {}
        self.known_failures: list[KnownFailure] = []

    def __repr__(self) -> str:
        return f"Adapter({self.name!r}, backend={self.backend!r}, dtype={self.dtype!r})"

    @overload
    def provides(self, role: str) -> Callable[[Function], Function]: ...
    @overload
    def provides(self, role: str, function: Function) -> Function: ...
    def provides(self, role: str, function: Function | None = None) -> Function | Callable[[Function], Function]:
        """Register ``function`` for ``role``; without a function, return a decorator that does.

        A function is handed what its parameter names ask for. One that asks for ``means`` or
        ``covariances`` is checked on Gaussian mixtures; one that asks for neither them nor ``data``, nor for anything
        that follows from the data (``eps``, ``head``), has data of its own, which nobody knows; any other is checked
        on Diracs. A role can have one of each.

        Raises
        ------
        UnusableError
            If the role or a parameter name is unknown, the role has such a function already, or a function has data of
        its own and the adapter no ``event_shape``.
        """
        _require_known(f"Adapter({self.name!r}): role", role, ROLES)
        if function is None:
            return lambda decorated: self.provides(role, decorated)
        provided = _inspect(self.name, role, function)
        key = (role, provided.claim.family)
        if provided.claim.family == "unknown" and self.event_shape is None:
            raise UnusableError(
                f"Adapter({self.name!r}): the function for {role!r} asks for no data, so it has data of its own, and "
                "nobody knows their dimension. Say it: Adapter(..., event_shape=(2,)). Or let it ask for data."
            )
        if key in self.functions:
            raise UnusableError(
                f"Adapter({self.name!r}) provides {role!r} for {provided.claim.family} data twice; make a second "
                "Adapter for the second implementation."
            )
        self.functions[key] = provided
        return function

    def known_failure(
        self,
        check: str,
        *,
        reason: str,
        ceiling: float,
        until: datetime.date | str,
        dtypes: Sequence[str] = (),
        log_snr: tuple[float, float] = (-math.inf, math.inf),
    ) -> None:
        """Declare a failure that is known: within its scope it does not count for the exit status.

        It is still shown, with its verdict. Outside the scope checks judge as always. A failure counts again, as
        ``fail``, when its error exceeds the ceiling, when its date has passed, and when it is gone: when every check
        that it names ran and none needed it.

        Parameters
        ----------
        check
            A role, ``"role/claim"`` or ``"role/claim/scenario"``; ``"relation/linearity"`` for a relation.
        reason
            Why it fails; shown in every report.
        ceiling
            Largest error accepted, above the limit of 16: in multiples of the attainable error, or of what corresponds
            to it for trajectories, random estimates and trained heads.
        until
            The last day on which it is accepted: a date, or text such as ``"2027-03-31"``.
        dtypes
            The precisions it is known in; all when left out.
        log_snr
            The range of log-SNR it is known in, of trajectories that of their starts; all when left out.

        Raises
        ------
        UnusableError
            If an argument is not what it should be.
        """
        where = f"Adapter({self.name!r})"
        self.known_failures.append(make_known_failure(where, check, reason, ceiling, until, dtypes, log_snr))


def _inspect(adapter: str, role: str, function: Callable[..., Any]) -> Provided:
    where = f"Adapter({adapter!r}): the function for {role!r}"
    if not callable(function):
        raise UnusableError(f"{where} is not callable: {function!r}.")
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise UnusableError(
            f"{where} has no signature that Python can read; wrap it in a function with named parameters."
        ) from None
    named = [p for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for parameter in parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise UnusableError(f"{where}: parameter {parameter.name!r} is positional-only; it must be passed by name.")
    names = {p.name for p in named}
    claims = claims_of_role(role)
    gaussian = bool(names & {"means", "covariances"})
    if gaussian and "data" in names:
        raise UnusableError(f"{where} asks for both data and a Gaussian mixture; provide one function for each.")
    known_data = bool(names & (DIRAC_PARAMETERS | PREDICTION_PARAMETERS | HEAD_PARAMETERS | {"x0"}))
    family = "gaussian-mixture" if gaussian else "dirac" if known_data else "unknown"
    claim = next((claim for claim in claims if claim.family == family), None)
    if claim is None and family == "unknown":
        raise UnusableError(f"{where} asks for nothing that it could be computed from.")
    if claim is None:
        raise UnusableError(f"{where} asks for a Gaussian mixture; {role!r} is checked on Dirac data only.")
    known = claim.parameters if family != "unknown" else frozenset().union(*(claim.parameters for claim in claims))
    for parameter in named:
        if parameter.name not in known and parameter.default is parameter.empty:
            close = difflib.get_close_matches(parameter.name, sorted(known), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnusableError(
                f"{where} asks for {parameter.name!r}, which is not known.{hint} It can ask for: "
                f"{', '.join(sorted(known))}. Give any other parameter a default value."
            )
    return Provided(role, claim, function, frozenset(names & known))


def _require_known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        close = difflib.get_close_matches(str(value), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UnusableError(f"{what} {value!r} is not known.{hint} Choose one of: {', '.join(known)}.")
