import dotscore

import afi_verify

adapters = [afi_verify.Adapter("dotscore", dtype=dtype) for dtype in ("float64", "float32")]


def trace(x, alpha, sigma, data):
    return dotscore.trace(x, dots=data, signal=alpha, noise=sigma)


for adapter in adapters:
    adapter.provides("fisher_trace", trace)


@afi_verify.parametrize_with_checks(
    *adapters, scenarios=["dirac", "digits", "gaussian-mixture"], roles=["fisher_trace"]
)
def test_afi(check):
    check()
