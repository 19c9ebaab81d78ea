"""Which fault a claim's wrong formula is, from the words of its name."""

from afi_properties.diagnosis.explanation import Fault

_WORDS: tuple[tuple[str, Fault], ...] = (
    ("as printed", Fault.ONE_OVER_D),
    ("alpha_bar", Fault.ALPHA_BAR),
    ("alpha^2 for alpha", Fault.ALPHA_BAR),
    ("J v for J^T v", Fault.TRANSPOSED),
    ("J^T v for J v", Fault.TRANSPOSED),
    ("transpose", Fault.TRANSPOSED),
    ("symmetric part", Fault.TRANSPOSED),
    ("sum of all entries", Fault.DIAGONAL),
    ("row sum", Fault.DIAGONAL),
    ("epsilon for", Fault.PREDICTION_TYPE),
    ("prediction", Fault.PREDICTION_TYPE),
    ("log-determinant", Fault.LOG_DETERMINANT),
    ("unnormalised", Fault.WEIGHTS_UNNORMALISED),
    ("not normalised", Fault.WEIGHTS_UNNORMALISED),
    ("weights ignored", Fault.WEIGHTS_IGNORED),
    ("ignored in the weights", Fault.WEIGHTS_IGNORED),
    ("uniform", Fault.WEIGHTS_IGNORED),
    ("N/(N-1)", Fault.CONSTANT),
    ("1/d", Fault.ONE_OVER_D),
    ("1 for d", Fault.ONE_OVER_D),
    ("divided by d", Fault.ONE_OVER_D),
    ("component covariances", Fault.COVARIANCES),
    ("times d", Fault.ONE_OVER_D),
    ("multiplied by d", Fault.ONE_OVER_D),
    ("doubled", Fault.TERM_DOUBLED),
    ("sign", Fault.SIGN),
    ("sigma", Fault.POWER_OF_SIGMA),
    ("alpha", Fault.POWER_OF_ALPHA),
    ("noise not removed", Fault.TERM_DROPPED),
    ("dropped", Fault.TERM_DROPPED),
    ("ignored", Fault.TERM_DROPPED),
)


def fault_named(formula: str) -> Fault:
    """Return the family of a claim's wrong formula, from the words of its name."""
    return next((fault for words, fault in _WORDS if words in formula), Fault.CONSTANT)
