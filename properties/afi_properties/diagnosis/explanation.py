"""What a diagnosis says: a family of faults, and a sentence."""

import dataclasses
from enum import StrEnum


class Fault(StrEnum):
    """Families of faults that a diagnosis can name."""

    POWER_OF_ALPHA = "power of alpha"
    POWER_OF_SIGMA = "power of sigma"
    ALPHA_BAR = "alpha^2 for alpha"
    PREDICTION_TYPE = "prediction type"
    SCHEDULE = "schedule"
    TIMESTEP = "timestep off by one"
    SIGN = "sign"
    TERM_DROPPED = "term dropped"
    TERM_DOUBLED = "term doubled"
    TERM_ADDED = "term added"
    ONE_OVER_D = "1/d"
    CONSTANT = "constant factor"
    TRANSPOSED = "transposed"
    DIAGONAL = "diagonal"
    WEIGHTS_IGNORED = "weights ignored"
    WEIGHTS_WRONG = "weights wrong"
    WEIGHTS_UNNORMALISED = "weights unnormalised"
    LOG_DETERMINANT = "log-determinant"
    COVARIANCES = "component covariances"
    UNDERFLOW = "underflow"
    CLIPPED = "clipped"
    EPSILON = "epsilon in denominator"
    TRUNCATED = "truncated"
    STRUCTURE = "structure assumed"
    WRONG_AXIS = "wrong axis"
    BATCH = "batch mixed up"
    BATCH_NOISE = "per-batch noise"
    BROADCASTING = "broadcasting"
    ORDER = "order of atoms"
    DUPLICATES = "duplicated atoms"
    MINIBATCH = "mini-batch mean"
    STATE = "state"
    ARGUMENT_CHANGED = "argument changed"
    STRIDES = "strides"
    LOW_PRECISION = "low precision"
    CANCELLATION = "cancellation"
    STEP = "finite difference"
    ESTIMATE = "estimate for exact"
    DETACHED = "gradient cut"
    DIMENSION = "regime: dimension"
    OFFSET = "regime: offset"
    NOISE = "regime: noise"
    SIZE = "regime: size"


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A fault and the sentence that names it, as the end of "The answer …"."""

    fault: Fault
    sentence: str
