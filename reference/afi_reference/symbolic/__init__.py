"""SymPy derives the paper's statements from the definition of the diffused density.

Each derivation is a function whose keyword-only integers are the numbers in the claim. Called without
arguments it returns a `Derivation` with a zero residual; with any other number the residual is not zero.
"""

from collections.abc import Mapping
from types import MappingProxyType

from afi_reference.symbolic import densities, fisher, flow, operators, score, training, transport
from afi_reference.symbolic.derivation import Derivation, Derive
from afi_reference.symbolic.schedules import COEFFICIENTS

__all__ = ["DERIVATIONS", "Derivation", "Derive"]

DERIVATIONS: Mapping[str, Derive] = MappingProxyType(
    {
        "eq-2": flow.eq_2,
        "eq-2-log-snr": flow.eq_2_log_snr,
        **COEFFICIENTS,
        "eq-4-predictions": training.predictions,
        "eq-5": flow.eq_5,
        "eq-6": flow.eq_6,
        "eq-8": operators.eq_8,
        "eq-9": operators.eq_9,
        "eq-10": score.eq_10,
        "lemma-1": score.lemma_1,
        "lemma-2": fisher.lemma_2,
        "eq-27": score.eq_27,
        "tweedie": score.tweedie,
        "prop-1": fisher.prop_1,
        "prop-2": training.prop_2,
        "eq-29": training.eq_29,
        "lemma-3": score.lemma_3,
        "lemma-4": fisher.lemma_4,
        "eq-32": fisher.eq_32,
        "eq-35": score.eq_35,
        "prop-3": fisher.prop_3,
        "prop-3-uniform": densities.prop_3_uniform,
        "prop-3-gaussian": densities.prop_3_gaussian,
        "gaussian": densities.gaussian,
        "prop-4": training.prop_4,
        "eq-14": flow.eq_14,
        "eq-14-partial": flow.eq_14_partial,
        "eq-15": operators.eq_15,
        "lemma-5": fisher.lemma_5,
        "prop-5": fisher.prop_5,
        "eq-16": fisher.eq_16,
        "prop-6": training.prop_6,
        "eq-42": training.eq_42,
        "eq-17": operators.eq_17,
        "eq-18": transport.eq_18,
        "eq-19": operators.eq_19,
        "eq-20": operators.eq_20,
        "eq-22": transport.eq_22,
        "eq-51": transport.eq_51,
        "eq-51-scale": transport.eq_51_scale,
        "eq-53": transport.eq_53,
    }
)
"""From the claim's label to its derivation, in the order of the paper's argument."""
