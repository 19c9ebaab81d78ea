"""Wrong: returns the noise prediction eps; the score is -eps / sigma."""

from afi_verify import Adapter

double = Adapter("epsilon-for-score")
single = Adapter("epsilon-for-score", dtype="float32")


@double.provides("score")
@single.provides("score")
def score(x, alpha, sigma, eps):
    return 1 * eps
