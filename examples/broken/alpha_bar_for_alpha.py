"""Wrong: divides by alpha_bar (alphas_cumprod), which is alpha squared."""

from afi_verify import Adapter

double = Adapter("alpha-bar-for-alpha", backend="torch")
single = Adapter("alpha-bar-for-alpha", backend="torch", dtype="float32")


@double.provides("posterior_mean")
@single.provides("posterior_mean")
def posterior_mean(x, alpha_bar, eps):
    return (x - (1 - alpha_bar).sqrt() * eps) / alpha_bar
