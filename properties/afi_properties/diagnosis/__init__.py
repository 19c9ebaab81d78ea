"""Why an answer is wrong: a formula, a part of the cases, or a lost digit that explains it.

A diagnosis is a hypothesis that the data support, not a proof. A formula is named only where it accounts for the whole
deviation on every wrong answer shown, and agrees with the right ones.
"""

from afi_properties.diagnosis.exhibit import Exhibit
from afi_properties.diagnosis.explanation import Explanation, Family, Fault
from afi_properties.diagnosis.search import explain

__all__ = ["Exhibit", "Explanation", "Family", "Fault", "explain"]
