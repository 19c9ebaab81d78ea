"""What a diagnosis says: a fault, which belongs to a family of faults, and a sentence."""

import dataclasses
from enum import StrEnum


class Family(StrEnum):
    """Families of faults, by where in the code one would look."""

    NOISE_LEVEL = "noise level"  # alpha, sigma or t is another one, or to a wrong power
    TERMS = "terms and factors"  # a term, a sign, a factor; one quantity taken for another
    WEIGHTS = "posterior weights"  # of the atoms or components
    MATRIX = "matrices"  # another part, order or structure of a matrix than the right one
    ATOMS = "set of atoms"  # some left out, repeated, or put together wrongly
    BATCH = "batch, axes and memory"  # what one point's answer depends on besides the point
    NUMERICS = "numerics"  # right in exact arithmetic, or right but for a guard, a bound or an approximation
    REGIME = "regime"  # right for some sizes, noise levels or data; the cause is not known


class Fault(StrEnum):
    """Faults that a diagnosis can name."""

    POWER_OF_ALPHA = "power of alpha"  # alpha missing, or to the wrong power
    POWER_OF_SIGMA = "power of sigma"  # sigma missing, or to the wrong power
    ALPHA_BAR = "alpha^2 for alpha"  # alphas_cumprod taken for alpha, or half of log-SNR for it
    PREDICTION_TYPE = "prediction type"  # epsilon, x_0, v and score taken for one another
    SCHEDULE = "schedule"  # noise of another schedule than the one that was asked for
    TIMESTEP = "timestep off by one"
    SIGN = "sign"
    TERM_DROPPED = "term dropped"
    TERM_DOUBLED = "term doubled"
    TERM_ADDED = "term added"  # one that does not belong there
    ONE_OVER_D = "1/d"  # a factor d too many or missing
    CONSTANT = "constant factor"  # a factor that depends on nothing, or on N alone
    TRANSPOSED = "transposed"
    DIAGONAL = "diagonal"  # another part or norm of a matrix than its trace
    WEIGHTS_IGNORED = "weights ignored"
    WEIGHTS_WRONG = "weights wrong"  # the right weights to a wrong power, or other ones
    WEIGHTS_UNNORMALISED = "weights unnormalised"
    LOG_DETERMINANT = "log-determinant"
    COVARIANCES = "component covariances"  # those of a mixture's components left out, or others
    UNDERFLOW = "underflow"  # exponentials without their maximum subtracted
    CLIPPED = "clipped"  # a number kept within bounds that it can rightly leave
    EPSILON = "epsilon in denominator"  # a small number added to a divisor, or to a diagonal
    TRUNCATED = "truncated"  # some of the atoms for all of them
    STRUCTURE = "structure assumed"  # a covariance taken for diagonal, circulant, of low rank
    WRONG_AXIS = "wrong axis"
    BATCH = "batch mixed up"  # an answer depends on the other points of its batch
    BATCH_NOISE = "per-batch noise"  # one noise level for all points of a batch
    BROADCASTING = "broadcasting"  # wrong for some coincidence of sizes
    ORDER = "order of atoms"
    DUPLICATES = "duplicated atoms"
    MINIBATCH = "mini-batch mean"  # mini-batches of atoms put together with wrong weights
    STATE = "state"  # an answer depends on earlier calls
    ARGUMENT_CHANGED = "argument changed"
    STRIDES = "strides"  # arrays taken for contiguous
    LOW_PRECISION = "low precision"  # the right formula in a lower precision than the arguments'
    CANCELLATION = "cancellation"  # digits that two large terms share
    STEP = "finite difference"  # a derivative by a step that does not fit
    ESTIMATE = "estimate for exact"  # a random estimate where a number is asked for
    DETACHED = "gradient cut"  # a part of a function taken as a constant when it is differentiated
    POWER_OF_G = "power of g"  # g for g^2, of an equation in time
    ENDS = "start and end"  # one end of a trajectory taken for the other, or another one
    FROZEN = "not along the trajectory"  # a quantity of one point or time where it changes along the way
    PRIOR = "prior"  # another density at the end of a trajectory
    UNIT = "unit"  # bits for nats, or per dimension
    INVERSE = "inverse"  # of a matrix
    CRITERION = "criterion"  # another property of a matrix than the one that is asked for
    STEPS = "steps"  # steps of a solver that are too few, or not as long as they should be
    DIMENSION = "regime: dimension"  # right in few dimensions only
    OFFSET = "regime: offset"  # right for centred data only
    NOISE = "regime: noise"  # right in a part of the noise range only
    SIZE = "regime: size"  # right for some N or B only

    @property
    def family(self) -> Family:
        """The family that it belongs to."""
        return next(family for family, faults in FAMILIES.items() if self in faults)


FAMILIES: dict[Family, frozenset[Fault]] = {
    Family.NOISE_LEVEL: frozenset(
        {
            Fault.POWER_OF_ALPHA,
            Fault.POWER_OF_SIGMA,
            Fault.POWER_OF_G,
            Fault.ALPHA_BAR,
            Fault.SCHEDULE,
            Fault.TIMESTEP,
            Fault.ENDS,
        }
    ),
    Family.TERMS: frozenset(
        {
            Fault.PREDICTION_TYPE,
            Fault.SIGN,
            Fault.TERM_DROPPED,
            Fault.TERM_DOUBLED,
            Fault.TERM_ADDED,
            Fault.ONE_OVER_D,
            Fault.CONSTANT,
            Fault.DETACHED,
            Fault.FROZEN,
            Fault.PRIOR,
            Fault.UNIT,
        }
    ),
    Family.WEIGHTS: frozenset(
        {Fault.WEIGHTS_IGNORED, Fault.WEIGHTS_WRONG, Fault.WEIGHTS_UNNORMALISED, Fault.LOG_DETERMINANT}
    ),
    Family.MATRIX: frozenset(
        {
            Fault.TRANSPOSED,
            Fault.DIAGONAL,
            Fault.STRUCTURE,
            Fault.COVARIANCES,
            Fault.INVERSE,
            Fault.CRITERION,
        }
    ),
    Family.ATOMS: frozenset({Fault.TRUNCATED, Fault.ORDER, Fault.DUPLICATES, Fault.MINIBATCH}),
    Family.BATCH: frozenset(
        {
            Fault.WRONG_AXIS,
            Fault.BATCH,
            Fault.BATCH_NOISE,
            Fault.BROADCASTING,
            Fault.STATE,
            Fault.ARGUMENT_CHANGED,
            Fault.STRIDES,
        }
    ),
    Family.NUMERICS: frozenset(
        {
            Fault.UNDERFLOW,
            Fault.CLIPPED,
            Fault.EPSILON,
            Fault.LOW_PRECISION,
            Fault.CANCELLATION,
            Fault.STEP,
            Fault.STEPS,
            Fault.ESTIMATE,
        }
    ),
    Family.REGIME: frozenset({Fault.DIMENSION, Fault.OFFSET, Fault.NOISE, Fault.SIZE}),
}


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A fault and the sentence that names it, as the end of "The answer …"."""

    fault: Fault
    sentence: str
