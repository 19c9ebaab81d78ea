"""Section 2: the diffusion, its ODE, and the Fisher information by autodiff (eq. 1 to 9)."""

import numpy as np
import sympy
from flint import arb, arb_mat, arb_series

from afi_properties.audit.entry import Entry, Method, Outcome, Statement, Verdict
from afi_properties.audit.evidence import all_of, derivation, exact, no_violation, symbolic
from afi_properties.audit.instances import Instance, Posterior, column, differ
from afi_reference.schedules import VPLinear
from afi_reference.symbolic.data import diracs
from afi_reference.symbolic.flow import ALPHA_T, F_T, G2_T, SIGMA_T, TIME
from afi_reference.symbolic.schedules import COEFFICIENTS

_MATRIX = ((0, 1), (-1, 2))
"""The Jacobian of a noise prediction that no density has: it is not symmetric."""


def _bounded_slope(cases: int, *, sigma_power: int) -> Outcome:
    """Whether the slope of a power of sigma stays bounded as t -> 0 for the variance-preserving linear schedule."""
    t, first, last = sympy.symbols("t beta_0 beta_1", positive=True)
    squared = 1 - sympy.exp(-first * t - (last - first) * t**2 / 2)
    slope = sympy.limit(sympy.diff(squared ** sympy.Rational(sigma_power, 2), t), t, 0, "+")
    return symbolic(slope.is_finite is True, f"VP linear: the slope of σ^{sigma_power} tends to {slope} as t → 0")


def _coefficients(cases: int, **numbers: int) -> Outcome:
    """Test eq. 2 for undetermined schedules, and f, g^2 for each schedule of the oracles."""
    return all_of(derivation("eq-2"), *[derivation(label) for label in COEFFICIENTS])(cases, **numbers)


def _reverse(cases: int, *, score_factor: int, diffusion_factor: int) -> Outcome:
    """Test that the reverse SDE, run backwards, has the marginals: its Fokker-Planck equation with the sign of time."""
    from afi_reference.symbolic.algebra import reduce_to_zero

    data = diracs(1, ALPHA_T, SIGMA_T)
    x, density = data.x[0], data.density()
    flux = (F_T * x - score_factor * G2_T * data.score()[0]) * density
    residual = density.diff(TIME) + flux.diff(x) + diffusion_factor * G2_T / 2 * density.diff(x, 2)
    return symbolic(
        reduce_to_zero(residual) == 0, "backward Fokker-Planck equation; any Diracs, any schedule, one coordinate"
    )


def _start(cases: int, *, of: str) -> Outcome:
    """Test whether the ODE of eq. 6 starts from the right distribution: the mean of one atom at 1 says enough."""
    alpha = float(VPLinear().alpha(1.0))
    mean = 0.0 if of == "normal" else alpha
    return exact(mean == alpha, f"one atom at 1, VP linear, t = 1: the mean of x_T is {alpha:.3g}, not {mean:.3g}")


def _hessian_by_series(instance: Instance, *, sign: int) -> bool:
    """Compare F along v with the second Taylor coefficient of log q_t along v, which no formula of the paper enters."""
    p = Posterior(instance)
    v = column(instance.v)
    total = arb_series([0], prec=3)
    for y in p.atoms:
        gap = p.x - y * p.alpha
        squares = [arb(0), arb(0), arb(0)]
        for a, b in zip(gap.entries(), v.entries(), strict=True):
            squares = [squares[0] + a * a, squares[1] + 2 * a * b, squares[2] + b * b]
        total += (arb_series(squares, prec=3) * (-1 / (2 * p.sigma**2))).exp()
    second = total.log()[2] * 2
    return differ((v.transpose() * p.fisher * v)[0, 0], sign * second)


def _gradient_of_inner_product(instance: Instance, *, transposed: int) -> bool:
    """Compare the gradient of <eps(x), v> with the product that is claimed, for the linear field eps(x) = M x."""
    if len(instance.v) != 2:
        return False
    field = arb_mat([list(row) for row in _MATRIX])
    v = column(instance.v)
    # <M x, v> = x^T (M^T v): its slope along each unit vector, without a transposed matrix.
    units = [arb_mat(2, 1, [1, 0]), arb_mat(2, 1, [0, 1])]
    gradient = arb_mat(2, 1, [sum(((field * e)[k, 0] * v[k, 0] for k in range(2)), arb(0)) for e in units])
    return differ(gradient, (field.transpose() if transposed else field) * v)


def _no_bound(cases: int, *, derivatives: int) -> Outcome:
    """Whether a prediction within delta of the exact one can be off without bound in its derivatives of this order.

    eps + delta sin(k x) is off by at most delta, its derivatives at 0 or a quarter period away by k^order delta.
    """
    x, delta, k = sympy.symbols("x delta k", positive=True)
    slope = sympy.diff(delta * sympy.sin(k * x), x, derivatives)
    largest = sympy.Max(*[abs(slope.subs(x, quarter * sympy.pi / (2 * k))) for quarter in range(2)])
    limit = sympy.limit(largest / delta, k, sympy.oo)
    return symbolic(
        limit == sympy.oo,
        f"ε_θ = ε + δ sin(kx): the largest error of derivative {derivatives} over δ tends to {limit} as k → ∞",
    )


def _matrix_size(cases: int, *, product: tuple[int, ...], claimed: int) -> Outcome:
    return exact(int(np.prod(product)) == claimed, f"{' × '.join(map(str, product))} = {int(np.prod(product))}")


def _gibibytes(cases: int, *, low: float, high: float) -> Outcome:
    size = 16384**2 * 4 / 2**30
    return Outcome(low <= size <= high, (Method.EXACT,), f"16384² float32 numbers take {size:g} GiB", {"GiB": size})


ENTRIES = (
    Entry(
        "eq-1",
        "the transition kernel and what is assumed of the schedule",
        Statement(
            r"q_{t|0}(x_t|x_0) = \mathcal{N}(x_t; \alpha(t) x_0, \sigma^2(t) I), \quad"
            r"\alpha, \sigma \in C([0,T], \mathbb{R}^+) \text{ have bounded derivatives}",
            {"sigma_power": 1},
        ),
        Verdict.CORRECTED,
        _bounded_slope,
        Statement(
            r"q_{t|0}(x_t|x_0) = \mathcal{N}(x_t; \alpha(t) x_0, \sigma^2(t) I), \quad"
            r"\alpha, \sigma^2 \in C^1([0,T)),\ \alpha > 0,\ \sigma^2(0) \ge 0",
            {"sigma_power": 2},
        ),
        slip=True,
        note="The kernel is a definition. The assumption excludes the paper's own schedules: for VP, σ ~ √(β₀t), whose"
        " slope is unbounded at 0 (the slope of σ² is bounded), and σ(0) = 0 is not in the open half-line. For"
        " rectified flow α(T) = 0, so f is unbounded at T.",
    ),
    Entry(
        "eq-2",
        "the SDE with f and g²",
        Statement(
            r"\mathrm{d}x_t = f x_t \mathrm{d}t + g\,\mathrm{d}B_t,\quad"
            r" f = \frac{\mathrm{d}\log\alpha_t}{\mathrm{d}t},\quad g^2 = \frac{\mathrm{d}\sigma_t^2}{\mathrm{d}t}"
            r" - 2 \frac{\mathrm{d}\log\alpha_t}{\mathrm{d}t} \sigma_t^2"
        ),
        Verdict.HOLDS,
        _coefficients,
        note="“With some assumption” means: g² ≥ 0, that is, the log-SNR does not increase (g²/σ² is minus its slope).",
    ),
    Entry(
        "eq-3",
        "the reverse SDE",
        Statement(
            r"\mathrm{d}x_t = [f x_t - g^2 \nabla\log q(x_t, t)] \mathrm{d}t + g\,\mathrm{d}\tilde B_t",
            {"score_factor": 1, "diffusion_factor": 1},
        ),
        Verdict.HOLDS,
        _reverse,
        note="The sentence before it says that it starts from x_t; x_T is meant.",
    ),
    Entry(
        "eq-4",
        "score matching: the minimiser is the score of the marginal",
        Statement(
            r"\theta^* = \mathrm{arg\,min}_\theta \mathbb{E}_t\{\lambda_t \mathbb{E}_{x_0,x_t}"
            r"[\|s_\theta(x_t,t) - \nabla_{x_t}\log p(x_t,t|x_0,0)\|^2]\}"
        ),
        Verdict.HOLDS,
        all_of(derivation("prop-2"), derivation("prop-4")),
        note="For networks that can be any function, where λ_t > 0, and almost everywhere under q_t. The text's loss in"
        " ε is this one with λ_t σ_t² for λ_t.",
    ),
    Entry(
        "prose-2.1-predictions",
        "the loss in y- and v-prediction",
        Statement(
            r"|\varepsilon - \varepsilon_\theta| \to \frac{\alpha_t}{\sigma_t}|x_0 - y_\theta|"
            r" \text{ and } |\alpha_t\varepsilon - \sigma_t x_0 - v_\theta|",
            {"v_alpha_power": 0, "v_norm_power": 0},
        ),
        Verdict.CORRECTED,
        derivation("eq-4-predictions"),
        Statement(
            r"|\varepsilon - \varepsilon_\theta| = \frac{\alpha_t}{\sigma_t}|x_0 - y_\theta|"
            r" = \frac{\alpha_t}{\alpha_t^2+\sigma_t^2}|\alpha_t\varepsilon - \sigma_t x_0 - v_\theta|"
        ),
        slip=True,
        note="The v-loss is not equal: the factor α/(α²+σ²) is missing.",
    ),
    Entry(
        "eq-5",
        "the probability-flow ODE has the marginals of the diffusion",
        Statement(r"\mathrm{d}x_t = \left[f x_t - \tfrac{1}{2} g^2 \nabla_{x_t}\log q_t(x_t,t)\right]\mathrm{d}t"),
        Verdict.HOLDS,
        derivation("eq-5"),
    ),
    Entry(
        "eq-6",
        "the ODE by the noise prediction, and where it starts",
        Statement(
            r"\frac{\mathrm{d}x_t}{\mathrm{d}t} = f x_t + \frac{g^2}{2\sigma_t}\varepsilon_\theta(x_t,t),\quad"
            r" x_T \sim \mathcal{N}(0, \sigma_T^2 I)",
            {"of": "normal"},
        ),
        Verdict.CORRECTED,
        lambda cases, of: all_of(derivation("eq-6"), lambda n: _start(n, of=of))(cases),
        Statement(
            r"\frac{\mathrm{d}x_t}{\mathrm{d}t} = f x_t + \frac{g^2}{2\sigma_t}\varepsilon_\theta(x_t,t),\quad"
            r" x_T \sim q_T \approx \mathcal{N}(0, \sigma_T^2 I) \text{ where } \alpha_T \ll \sigma_T",
            {"of": "q_T"},
        ),
        slip=True,
        note="The velocity is right for the exact ε. The start is an approximation that is written as if it held: the"
        " mean of x_T is α_T E[x₀].",
    ),
    Entry(
        "eq-7",
        "the Fisher information is minus the Hessian of the log density",
        Statement(r"F_t(x_t,t) := -\frac{\partial^2}{\partial x_t^2}\log q_t(x_t,t)", {"sign": -1}),
        Verdict.HOLDS,
        no_violation(_hessian_by_series),
        note="A definition; tested is that the oracles compute it, by Taylor series of log q_t in ball arithmetic.",
    ),
    Entry(
        "eq-8",
        "the Fisher information is the scaled Jacobian of the noise prediction",
        Statement(
            r"F_t = -\frac{\partial}{\partial x_t}\left(\frac{\partial}{\partial x_t}\log p\right)"
            r" \approx \frac{1}{\sigma_t}\frac{\partial\varepsilon_\theta(x_t,t)}{\partial x_t}"
        ),
        Verdict.HOLDS,
        derivation("eq-8"),
        note="With equality for the exact ε; for a trained one see prose-2.3-guarantee.",
    ),
    Entry(
        "prose-2.3-guarantee",
        "no accuracy guarantee for the Jacobian of a trained network",
        Statement(
            r"\text{there is no } C \text{ with } \left\|\tfrac{1}{\sigma}\nabla\varepsilon_\theta - F\right\|"
            r" \le C \sup\|\varepsilon_\theta - \varepsilon\|",
            {"derivatives": 1},
        ),
        Verdict.HOLDS,
        _no_bound,
        note="Table 1's ✗. The bounds of Prop. 7 and 8 are about functions of ε_θ, not of its derivative; that is what"
        " makes them possible.",
    ),
    Entry(
        "prose-2.3-dimension",
        "the latent dimension of Stable Diffusion 1.5",
        Statement(r"d = 4 \times 64 \times 64 = 16384", {"product": (4, 64, 64), "claimed": 16384}),
        Verdict.HOLDS,
        _matrix_size,
    ),
    Entry(
        "prose-2.3-storage",
        "the full matrix cannot be obtained",
        Statement(
            r"\text{the } 16384 \times 16384 \text{ matrix cannot be obtained due to dimensional constraints}",
            {"low": 0.99, "high": 1.01},
        ),
        Verdict.MEASURED,
        _gibibytes,
        note="It takes 1 GiB in float32, and the d gradients that the paper itself spends on one trace (2195 s).",
    ),
    Entry(
        "eq-9",
        "the gradient of an inner product with the noise prediction",
        Statement(
            r"F_t v \approx \frac{1}{\sigma_t}\frac{\partial\varepsilon_\theta}{\partial x_t} v"
            r" = \frac{1}{\sigma_t}\frac{\partial\langle\varepsilon_\theta, v\rangle}{\partial x_t}",
            {"transposed": 0},
        ),
        Verdict.FALSE,
        all_of(derivation("eq-9"), no_violation(_gradient_of_inner_product)),
        Statement(
            r"\frac{1}{\sigma_t}\frac{\partial\langle\varepsilon_\theta, v\rangle}{\partial x_t}"
            r" = \frac{1}{\sigma_t}\left(\frac{\partial\varepsilon_\theta}{\partial x_t}\right)^\top v",
            {"transposed": 1},
        ),
        note="The counterexample is ε(x) = M x with M = ((0, 1), (-1, 2)). It is a vector-Jacobian product, not the"
        " JVP that it is called. The two agree where the Jacobian is"
        " symmetric, that is, for the exact ε; for a trained network they do not.",
    ),
)
