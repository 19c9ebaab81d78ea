"""What determines a drawn case: a few choices and a seed; and the short text that stands for them, its id.

An id such as ``a_dirac_2x3x3_shared_r1_o0_uniform_rectified-flow@0.5_s17_fine`` gives the same numbers again, bit for
bit, as long as its first letter is that of this version.
"""

import dataclasses
import re
from collections.abc import Iterable

from afi_properties.geometry import COVARIANCES, GEOMETRIES, OFFSETS, RADII, WEIGHTS
from afi_properties.noise_levels import LOG_SNR_RANGE, SCHEDULES_BY_NAME

VERSION = "a"
"""First letter of every id; the next one when the same choices would no longer give the same numbers."""

FAMILIES = ("dirac", "gaussian-mixture")
EPS_KINDS = ("exact", "skew")
_FLAGS = ("fine", "strided", "spread", "balanced", "skew")
_LARGEST_SIZE = 2**20


@dataclasses.dataclass(frozen=True)
class Choices:
    """Everything that was chosen for a case; what is random beyond it follows from ``seed``.

    Attributes
    ----------
    family
        ``"dirac"`` or ``"gaussian-mixture"``.
    sizes
        Points B, atoms (or components) N, dimension d.
    shape
        How the atoms lie, or how wide the components are: a key of ``GEOMETRIES`` or of ``COVARIANCES``.
    radius, offset, weights
        Keys of ``RADII``, ``OFFSETS`` and ``WEIGHTS``.
    schedule, log_snr
        Name of the schedule, and the noise level wanted.
    fine
        Whether numbers have all their bits; else they are multiples of 1/8.
    strided
        Whether arrays are handed over that are not contiguous.
    spread
        Whether the noise levels within the batch differ.
    balanced
        Whether the covariance weighs no more than the identity in the directions ``v``; see
        :func:`~afi_properties.geometry.balance_directions`.
    eps_kind
        What plays epsilon: ``"exact"`` or ``"skew"``.
    """

    family: str
    sizes: tuple[int, int, int]
    shape: str
    radius: str
    offset: str
    weights: str
    schedule: str
    log_snr: float
    seed: int
    fine: bool = False
    strided: bool = False
    spread: bool = False
    balanced: bool = False
    eps_kind: str = "exact"

    @property
    def id(self) -> str:
        """The text from which :func:`choices_from_id` makes the same choices."""
        flags = {name: getattr(self, name) for name in _FLAGS[:-1]} | {"skew": self.eps_kind == "skew"}
        words = [
            VERSION,
            self.family,
            "x".join(map(str, self.sizes)),
            self.shape,
            "r" + slug(self.radius),
            "o" + slug(self.offset),
            self.weights,
            f"{self.schedule}@{self.log_snr:g}",
            f"s{self.seed}",
            *(name for name, flag in flags.items() if flag),
        ]
        return "_".join(words)


def choices_from_id(text: str) -> Choices:
    """Return the choices that ``text`` stands for.

    Raises
    ------
    ValueError
        If it is not the id of a drawn case of this version; the message says which part is not understood.
    """
    require_version(text)
    words = text.split("_")
    if len(words) < 9:
        raise ValueError(f"case id {text!r} is cut off: it has {len(words)} parts, and a drawn case's has 9 or more.")
    _, family, sizes, shape, radius, offset, weights, level, seed, *flags = words
    pick(text, "family", family, FAMILIES)
    b, n, d = sizes_from(text, sizes)
    schedule, _, log_snr = level.partition("@")
    pick(text, "schedule", schedule, SCHEDULES_BY_NAME)
    for flag in flags:
        pick(text, "flag", flag, _FLAGS)
    return Choices(
        family=family,
        sizes=(b, n, d),
        shape=pick(text, "shape", shape, COVARIANCES if family == "gaussian-mixture" else GEOMETRIES),
        radius=pick(text, "radius", radius, RADII, "r"),
        offset=pick(text, "offset", offset, OFFSETS, "o"),
        weights=pick(text, "weights", weights, WEIGHTS),
        schedule=schedule,
        log_snr=number(text, "log-SNR", log_snr),
        seed=whole_number(text, "seed", seed, "s"),
        fine="fine" in flags,
        strided="strided" in flags,
        spread="spread" in flags,
        balanced="balanced" in flags,
        eps_kind="skew" if "skew" in flags else "exact",
    )


def sizes_from(text: str, word: str) -> tuple[int, int, int]:
    """Return points, atoms and dimension from a word like 2x3x16.

    Raises
    ------
    ValueError
        If it is not one, or they are larger than those of any case.
    """
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", word):
        raise ValueError(f"case id {text!r}: {word!r} is not three sizes like 2x3x16 (points, atoms, dimension).")
    b, n, d = map(int, word.split("x"))
    if max(b, n, d, b * d, n * d) > _LARGEST_SIZE:
        raise ValueError(f"case id {text!r}: {word} is larger than any case of this version.")
    return b, n, d


def require_version(text: str) -> None:
    """Check that an id is of this version.

    Raises
    ------
    ValueError
        If it is not.
    """
    version, separator, _ = text.partition("_")
    if not separator or not re.fullmatch("[a-z]", version):
        raise ValueError(f"{text!r} is no case id: those start with {VERSION}_ and are shown beside counterexamples.")
    if version != VERSION:
        raise ValueError(
            f"case id {text!r} was made by a version of afi-verify that writes {version}_…; this one writes "
            f"{VERSION}_… and would make other numbers of it. Use the version that wrote it, or its replay script."
        )


def whole_number(text: str, what: str, word: str, prefix: str) -> int:
    """Return the number in ``word`` after ``prefix``.

    Raises
    ------
    ValueError
        If it is not one.
    """
    if not re.fullmatch(re.escape(prefix) + r"\d{1,12}", word):
        raise ValueError(f"case id {text!r}: {word!r} is not a {what} like {prefix}17.")
    return int(word.removeprefix(prefix))


def number(text: str, what: str, word: str) -> float:
    """Return a number of the range of noise levels.

    Raises
    ------
    ValueError
        If it is not one.
    """
    low, high = LOG_SNR_RANGE
    if re.fullmatch(r"-?\d+(\.\d+)?", word) and low <= float(word) <= high:
        return float(word)
    raise ValueError(f"case id {text!r}: {word!r} is not a {what} from {low:g} to {high:g}.")


def pick(text: str, what: str, word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return which of the known names a word of an id stands for.

    Raises
    ------
    ValueError
        If it stands for none.
    """
    options = {prefix + slug(name): name for name in known}
    if word not in options:
        raise ValueError(f"case id {text!r}: the {what} {word!r} is not known; it may be: {', '.join(options)}.")
    return options[word]


def slug(name: str) -> str:
    """Return a name as a word of an id."""
    return re.sub(r"[^\w.-]+", "", name)
