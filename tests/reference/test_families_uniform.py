"""Uniform laws against mpmath: derivatives of log densities and moments by quadrature, never the code's formulas.

An error is measured in multiples of what the rounding of the inputs by one ulp does to the truth.
"""

import numpy as np
import pytest
from mpmath import mp, mpf

from afi_reference.dirac import DiracMixture
from afi_reference.families import ProductOfLaws, UniformBox, UniformSegment, UniformSphere

LIMIT = 16
LOG_SNRS = (-20, -5, 0, 5, 20)
QUANTITIES = ("log_density", "score", "posterior_mean", "posterior_covariance", "posterior_second_moment")
FISHERS = ("fisher", "fisher_trace", "fisher_vector_product")


def noise_level(log_snr):
    return float((1 + np.exp(-log_snr)) ** -0.5), float((1 + np.exp(log_snr)) ** -0.5)


def perturbed(values, rng):
    """Change mpf numbers, or arrays of them, by up to an ulp."""
    if isinstance(values, mpf):
        return values * (1 + mpf(rng.uniform(-1, 1)) * mpf(2) ** -52)
    return [perturbed(value, rng) for value in values]


def multiples(answers, truth, inputs, seed=0):
    """Return the error of each answer in multiples of the attainable; ``truth`` maps inputs to named lists."""
    rng = np.random.default_rng(seed)
    wide = [[mpf(float(t)) for t in np.ravel(i)] if np.ndim(i) else mpf(float(i)) for i in inputs]
    right = truth(*wide)
    spread = {name: mpf(0) for name in right}
    for _ in range(3):
        moved = truth(*(perturbed(i, rng) for i in wide))
        spread = {n: max(spread[n], norm(a - b for a, b in zip(moved[n], right[n], strict=True))) for n in right}
    result = {}
    for name, answer in answers.items():
        entries = [mpf(float(entry)) for entry in np.ravel(answer)]
        error = norm(a - b for a, b in zip(entries, right[name], strict=True))
        attainable = spread[name] + mpf(2) ** -53 * norm(right[name]) + mpf(2) ** -1074
        result[name] = float(error / attainable)
    return result


def norm(values):
    return mp.sqrt(sum(value * value for value in values))


def answers_of(law, x, alpha, sigma, names):
    x = np.reshape(np.asarray(x, dtype=float), (1, -1))
    v = np.ones_like(x)
    values = {n: getattr(law, n)(x, alpha, sigma)[0] for n in names if n != "fisher_vector_product"}
    if "fisher_vector_product" in names:
        values["fisher_vector_product"] = law.fisher_vector_product(x, v, alpha, sigma)[0]
    return values


def interval_truth(x, low, high, alpha, sigma):
    """Differentiate the log density, itself a difference of error functions, at many digits."""
    with mp.workdps(150):
        root = sigma * mp.sqrt(2)

        def log_density(t):
            near, far = sorted([(alpha * low - t) / root, (t - alpha * high) / root], reverse=True)
            mass = mp.erfc(near) - mp.erfc(-far) if near > 0 else 2 - mp.erfc(-near) - mp.erfc(-far)
            return mp.log(mass / (2 * alpha * (high - low)))

        value, score, second = mp.taylor(log_density, x, 2)  # by numerical differentiation
        fisher = -2 * second
        mean = (x + sigma**2 * score) / alpha
        variance = (sigma / alpha) ** 2 * (1 - sigma**2 * fisher)
        return {
            "log_density": [value],
            "score": [score],
            "posterior_mean": [mean],
            "posterior_covariance": [variance],
            "posterior_second_moment": [variance + mean**2],
            **{name: [fisher] for name in FISHERS},
        }


PLACES = {"inside": (0.5, 0.3), "deep": (0.0, 12), "edge": (1.0, 0), "near": (1.0, 0.5), "far": (1.0, 40)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_interval(log_snr, place):
    (alpha, sigma), (low, high) = noise_level(log_snr), (-0.3, 1.7)
    part, shift = PLACES[place]
    x = alpha * (low + part * (high - low)) + shift * sigma
    answers = answers_of(UniformBox([low], [high]), [x], alpha, sigma, QUANTITIES + FISHERS)
    found = multiples(answers, interval_truth, (x, low, high, alpha, sigma))
    assert max(found.values()) < LIMIT, found


@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_a_wrong_power_of_sigma_is_caught(log_snr):
    (alpha, sigma), (low, high) = noise_level(log_snr), (-0.3, 1.7)
    x = alpha * high + sigma / 2
    fisher = UniformBox([low], [high]).fisher([[x]], alpha, sigma)[0]
    for wrong in (fisher * sigma, fisher / sigma, fisher * sigma**2):
        found = multiples({"fisher": wrong}, interval_truth, (x, low, high, alpha, sigma))
        assert found["fisher"] > LIMIT


def test_box_is_the_product_of_its_sides():
    rng = np.random.default_rng(1)
    low = rng.normal(size=5)
    high = low + rng.uniform(0.1, 2, 5)
    box = UniformBox(low, high)
    product = ProductOfLaws([UniformBox([a], [b]) for a, b in zip(low, high, strict=True)])
    x, v = rng.normal(size=(2, 3, 5))
    alpha, sigma = np.array([0.9, 0.5, 0.9]), np.array([0.1, 0.8, 0.1])
    for name in (*QUANTITIES, "fisher", "fisher_trace"):
        np.testing.assert_array_equal(getattr(box, name)(x, alpha, sigma), getattr(product, name)(x, alpha, sigma))
    product_v = box.fisher_vector_product(x, v, alpha, sigma)
    np.testing.assert_allclose(product_v, np.einsum("bij,bj->bi", box.fisher(x, alpha, sigma), v), rtol=1e-15)


def segment_truth(x, start, end, alpha, sigma):
    """Moments by quadrature over the segment, and eq. 13 at many digits."""
    with mp.workdps(32):
        d = len(x)
        side = [b - a for a, b in zip(start, end, strict=True)]

        def weight(t):
            y = [a + t * s for a, s in zip(start, side, strict=True)]
            return -sum((p - alpha * q) ** 2 for p, q in zip(x, y, strict=True)) / (2 * sigma**2)

        offset = sum((p / alpha - a) * s for p, a, s in zip(x, start, side, strict=True))
        peak = min(max(offset / sum(s * s for s in side), mpf(0)), mpf(1))
        width = sigma / alpha / norm(side)
        inner = {p for k in (4, 16) for p in (peak - k * width, peak + k * width) if 0 < p < 1}
        points = sorted({mpf(0), mpf(1), peak, *inner})
        height = weight(peak)
        m0, m1, m2 = (
            mp.quad(lambda t, k=k: (t - peak) ** k * mp.exp(weight(t) - height), points, method="gauss-legendre")
            for k in range(3)
        )
        mean, variance = peak + m1 / m0, m2 / m0 - (m1 / m0) ** 2
        y = [a + mean * s for a, s in zip(start, side, strict=True)]
        covariance = [variance * a * b for a in side for b in side]
        gain = (alpha / sigma**2) ** 2
        fisher = [(i == j) / sigma**2 - gain * covariance[i * d + j] for i in range(d) for j in range(d)]
        spread = variance * sum(s * s for s in side)
        return {
            "log_density": [mp.log(m0) + height - mpf(d) / 2 * mp.log(2 * mp.pi * sigma**2)],
            "score": [(alpha * b - a) / sigma**2 for a, b in zip(x, y, strict=True)],
            "posterior_mean": y,
            "posterior_covariance": covariance,
            "posterior_second_moment": [spread + sum(a * a for a in y)],
            "fisher": fisher,
            "fisher_trace": [d / sigma**2 - gain * spread],
            "fisher_vector_product": [sum(fisher[i * d : i * d + d]) for i in range(d)],
        }


@pytest.mark.parametrize(("log_snr", "where"), [(-20, 0.4), (0, 1.3), (6, 1.0)])
def test_segment(log_snr, where):
    alpha, sigma = noise_level(log_snr)
    start, end = np.array([0.3, -1.0, 2.0]), np.array([1.1, 0.5, 2.5])
    x = alpha * (start + where * (end - start)) + sigma * np.array([0.5, -1.0, 0.2])
    answers = answers_of(UniformSegment(start, end), x, alpha, sigma, QUANTITIES + FISHERS)
    found = multiples(answers, segment_truth, (x, start, end, alpha, sigma))
    assert max(found.values()) < LIMIT, found


@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_segment_in_a_line_is_an_interval(log_snr):
    alpha, sigma = noise_level(log_snr)
    for x in (0.2 * alpha, -0.5 * alpha):
        answers = answers_of(UniformSegment([0.0], [1.0]), [x], alpha, sigma, QUANTITIES + FISHERS)
        found = multiples(answers, interval_truth, (x, 0.0, 1.0, alpha, sigma))
        assert max(found.values()) < LIMIT, (x, found)


def test_short_segment_is_a_point():
    point = np.array([0.3, -0.7])
    segment, dirac = UniformSegment(point, point + 1e-12), DiracMixture(point[None])
    x = np.array([[0.5, 0.5], [-3.0, 1.0]])
    for name in ("log_density", "score", "posterior_mean", "posterior_second_moment", "fisher", "fisher_trace"):
        np.testing.assert_allclose(
            getattr(segment, name)(x, 0.8, 0.6), getattr(dirac, name)(x, 0.8, 0.6), rtol=1e-11, atol=1e-11
        )


def sphere_truth(x, centre, radius, alpha, sigma):
    """Differentiate the log of the Bessel density along the radius."""
    with mp.workdps(100):
        d = len(x)
        offset = [a - alpha * c for a, c in zip(x, centre, strict=True)]
        rho, nu = norm(offset), mpf(d) / 2 - 1
        slope = alpha * radius / sigma**2

        def log_density(r):
            bessel = mp.log(mp.besseli(nu, slope * r)) + nu * mp.log(2 / (slope * r)) + mp.loggamma(nu + 1)
            return bessel - (r**2 + (alpha * radius) ** 2) / (2 * sigma**2) - mpf(d) / 2 * mp.log(2 * mp.pi * sigma**2)

        value, first, second = mp.taylor(log_density, rho, 2)
        n = [o / rho for o in offset]
        along, across = -2 * second, -first / rho
        fisher = [along * a * b + across * ((i == j) - a * b) for i, a in enumerate(n) for j, b in enumerate(n)]
        mean = [(a + sigma**2 * first * b) / alpha for a, b in zip(x, n, strict=True)]
        gain = (sigma / alpha) ** 2
        covariance = [gain * ((k % (d + 1) == 0) - sigma**2 * f) for k, f in enumerate(fisher)]
        trace = along + (d - 1) * across
        return {
            "log_density": [value],
            "score": [first * b for b in n],
            "posterior_mean": mean,
            "posterior_covariance": covariance,
            "posterior_second_moment": [gain * (d - sigma**2 * trace) + sum(m * m for m in mean)],
            "fisher": fisher,
            "fisher_trace": [trace],
            "fisher_vector_product": [sum(fisher[i * d : i * d + d]) for i in range(d)],
        }


@pytest.mark.parametrize("where", ["centre", "near", "on", "far"])
@pytest.mark.parametrize(("d", "log_snr"), [(1, 0), (2, -20), (2, 5), (3, 20), (5, 0), (16, 5)])
def test_sphere(d, log_snr, where):
    alpha, sigma = noise_level(log_snr)
    rng = np.random.default_rng(d)
    centre, unit = rng.normal(size=d), rng.normal(size=d)
    unit /= np.linalg.norm(unit)
    distance = {"centre": 1e-3 * sigma, "near": alpha * 1.5 - sigma, "on": alpha * 1.5, "far": alpha * 1.5 + 40 * sigma}
    x = alpha * centre + distance[where] * unit
    answers = answers_of(UniformSphere(centre, 1.5), x, alpha, sigma, QUANTITIES + FISHERS)
    found = multiples(answers, sphere_truth, (x, centre, 1.5, alpha, sigma))
    assert max(found.values()) < LIMIT, found


def test_sphere_at_its_very_centre():
    sphere = UniformSphere([1.0, 2.0, 3.0], 2.0)
    x = 0.5 * np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(sphere.score(x, 0.5, 0.7), np.zeros((1, 3)))
    np.testing.assert_allclose(sphere.posterior_covariance(x, 0.5, 0.7)[0], 4 / 3 * np.eye(3), rtol=1e-15)


def test_sphere_of_a_line_is_two_points():
    sphere, pair = UniformSphere([0.5], 2.0), DiracMixture([[-1.5], [2.5]])
    x = np.array([[0.3], [5.0], [-1.0]]).astype(np.longdouble)
    for name in (*QUANTITIES, "fisher", "fisher_trace"):
        alpha, sigma = np.longdouble(0.8), np.longdouble(0.6)
        answer = getattr(sphere, name)(x, alpha, sigma)
        assert answer.dtype == np.longdouble
        np.testing.assert_allclose(answer, getattr(pair, name)(x, alpha, sigma), rtol=1e-15)


@pytest.mark.parametrize("log_snr", LOG_SNRS)
def test_sphere_in_many_dimensions(log_snr):
    """By the recurrence of Bessel functions of neighbouring orders, at many digits."""
    (alpha, sigma), d = noise_level(log_snr), 1024
    x = np.zeros((1, d))
    x[0, 3] = alpha + 3 * sigma
    trace = UniformSphere(np.zeros(d), 1.0).fisher_trace(x, alpha, sigma)[0]
    with mp.workdps(60):
        a, s, r = mpf(alpha), mpf(sigma), mpf(x[0, 3])
        kappa = a * r / s**2
        ratio = mp.besseli(mpf(d) / 2, kappa) / mp.besseli(mpf(d) / 2 - 1, kappa)
        right = d / s**2 - a**2 / s**4 * (1 - ratio**2)
    assert abs(trace / float(right) - 1) < 1e-12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformBox([0.0, 1.0], [1.0, 1.0]), "low must be below high"),
        (lambda: UniformBox([0.0], [1.0, 1.0]), "same shape"),
        (lambda: UniformSegment([1.0], [1.0]), "use a DiracMixture"),
        (lambda: UniformSphere([0.0], 0.0), "positive number"),
        (lambda: UniformSphere([[0.0]], 1.0), r"shape \(d,\)"),
        (lambda: UniformBox([0.0], [np.inf]), "finite"),
        (lambda: UniformBox([0.0], [1.0]).fisher_vector_product([[0.0]], [[1.0], [1.0]], 1, 1), "one direction per"),
    ],
)
def test_errors_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()
