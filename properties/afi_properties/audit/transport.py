"""Section 6 and appendices A.9 and A.10: the optimal-transport statements (eq. 21, 22, 46 to 53, Theorems 1 to 5)."""

from afi_properties.audit.entry import Entry, Statement, Verdict
from afi_properties.audit.evidence import all_of, derivation, no_violation
from afi_properties.audit.flow_tests import COLLINEAR, GENERAL, always_symmetric, criterion
from afi_properties.audit.transport_tests import (
    discrete,
    gradient_is_optimal,
    has_potential,
    liouville,
    monge_is_kantorovich,
    normal_laws,
    one_atom_map,
    quadratic_convexity,
    second_moments,
    speed_limit,
    start_of_jacobian,
)

_COVARIANCE = (
    r"\frac{\alpha_t^2 g^2}{2\sigma_t^4}\left[\sum_i w_i y_i y_i^\top"
    r" - \left(\sum_i w_i y_i\right)\left(\sum_i w_i y_i\right)^\top\right]"
)

ENTRIES = (
    Entry(
        "eq-21",
        "the map of the ODE is a well-posed diffeomorphism",
        Statement(r"T_{s,t}: \mathbb{R}^n \to \mathbb{R}^n,\ x_s \mapsto x_t,\quad t \ge s > 0", {"factor": 1}),
        Verdict.HOLDS,
        no_violation(speed_limit),
        note="For Diracs: σ⁻² - α²D_y²/σ⁴ ≤ F ≤ σ⁻² bounds the slope of the velocity, so it is Lipschitz for t ≥ s >"
        " 0 (n is"
        " d). The range is attained: two atoms ±D e at x = 0, and one atom. In the general setting the covariance"
        " need not"
        " be bounded; the velocity is then locally Lipschitz and grows linearly, which does as well, but is not what is"
        " cited.",
    ),
    Entry(
        "thm-1",
        "the map is an optimal transport if and only if the fundamental matrix is definite",
        Statement(
            r"T_{s,T} \text{ is a Monge map} \iff C(s, x) \text{ is semi-positive definite for every } x",
            {"symmetric": False},
        ),
        Verdict.FALSE,
        criterion,
        Statement(
            r"T_{s,T} \text{ is a Monge map} \iff C(s, x) = C(s, x)^\top \succeq 0 \text{ for every } x",
            {"symmetric": True},
        ),
        note="Symmetry is the condition that bites. By Brenier's uniqueness an optimal map is a gradient, whose"
        " Jacobian is"
        " symmetric; conversely symmetric and semi-definite means gradient of a convex function. Since C is never"
        " singular"
        " and C(T) = I, symmetry for all times from s to T implies definiteness, so definiteness is then automatic."
        " Read"
        " with “definite implies symmetric” the statement is true; the proof then has a hole where it says that the"
        " potential exists (prose-A.10-potential). A finite cycle of points shows it without Brenier.",
    ),
    Entry(
        "eq-22",
        "the matrix B",
        Statement(r"B(t,x) = \left[f - \frac{g^2}{2\sigma_t^2}\right] I + " + _COVARIANCE, {"drift_sign": 1}),
        Verdict.FALSE,
        all_of(derivation("eq-22"), one_atom_map),
        Statement(r"B(t,x) = -\left[f + \frac{g^2}{2\sigma_t^2}\right] I + " + _COVARIANCE, {"drift_sign": -1}),
        note="The sign of f. The printed B multiplies the fundamental matrix by (α_s/α_T)²: definiteness survives,"
        " determinants and the map's Jacobian do not. For f = 0 (VE, EDM) the two agree.",
    ),
    Entry(
        "prose-6-collinear",
        "data on a line: the map is an optimal transport",
        Statement(r"y_i \in \{a + s b\} \Rightarrow T_{s,T} \text{ is a Monge map}", {"atoms": COLLINEAR}),
        Verdict.HOLDS,
        always_symmetric,
        note="Cited for f = 0; it holds for every schedule. All F(t, x) then have the same eigenvectors, so they"
        " commute and"
        " C is symmetric and definite. So it is for products along fixed axes and for one Gaussian.",
    ),
    Entry(
        "eq-46",
        "Monge's problem",
        Statement(r"\inf_T\left\{\int c(x, T(x))\,\mathrm{d}\mu(x): T_\#\mu = \nu\right\}", {"targets": 4}),
        Verdict.HOLDS,
        monge_is_kantorovich,
        note="A definition; evaluated on small discrete measures, where both problems can be solved exactly.",
    ),
    Entry(
        "eq-47",
        "Kantorovich's problem",
        Statement(r"\inf_\gamma\left\{\int c\,\mathrm{d}\gamma: \gamma \in \Pi(\mu,\nu)\right\}", {"targets": 4}),
        Verdict.HOLDS,
        monge_is_kantorovich,
        note="A definition; as eq. 46.",
    ),
    Entry(
        "eq-48",
        "transport plans",
        Statement(
            r"\Pi(\mu,\nu) = \{\gamma \in \mathcal{P}(\mathbb{R}^n\times\mathbb{R}^n):"
            r" (\pi_x)_\#\gamma = \mu, (\pi_y)_\#\gamma = \nu\}",
            {"targets": 2},
        ),
        Verdict.HOLDS,
        monge_is_kantorovich,
        note="A definition; evaluated with two targets for four atoms.",
    ),
    Entry(
        "prose-A.9-continuous",
        "for absolutely continuous measures the two problems are equivalent",
        Statement(r"\mu, \nu \ll \text{Lebesgue} \Rightarrow \inf(MP) = \min(KP)", {"slope": 1}),
        Verdict.HOLDS,
        normal_laws,
        note="A cited theorem: for continuous costs, and for the squared distance the minimum is attained by a map;"
        " checked"
        " for normal laws. A cost that takes the value +∞, which eq. 46 admits, is not covered.",
    ),
    Entry(
        "prose-A.9-discrete",
        "for discrete measures the two problems are entirely distinct",
        Statement(
            r"\text{when the measures are discrete, } (MP) \text{ and } (KP) \text{ are entirely distinct}",
            {"distinct": True},
        ),
        Verdict.CORRECTED,
        discrete,
        Statement(
            r"\mu, \nu \text{ uniform on } N \text{ and } M \text{ atoms}, M | N: \min(MP) = \min(KP);"
            r" \text{ otherwise no map exists}",
            {"distinct": False},
        ),
        slip=True,
        note="Half right: four atoms cannot be mapped onto three of equal weight; but onto four or two they can, and"
        " then the"
        " minima agree (Birkhoff).",
    ),
    Entry(
        "thm-2",
        "gradients of convex functions are optimal",
        Statement(
            r"u \text{ convex},\ T = \nabla u \Rightarrow T \text{ is optimal for } \tfrac{1}{2}|x-y|^2",
            {"convex": True},
        ),
        Verdict.HOLDS,
        gradient_is_optimal,
        note="A cited theorem, as stated there; checked on samples.",
    ),
    Entry(
        "thm-3",
        "Brenier's theorem",
        Statement(
            r"\text{suppose } \int|x|^2\,\mathrm{d}x, \int|y|^2\,\mathrm{d}y < \infty \ldots", {"measure": "lebesgue"}
        ),
        Verdict.CORRECTED,
        second_moments,
        Statement(
            r"\text{suppose } \int|x|^2\,\mathrm{d}\mu, \int|y|^2\,\mathrm{d}\nu < \infty,\ \mu \text{ gives no mass"
            r" to}"
            r" \text{ surfaces}: \text{ there is a unique optimal } T = \nabla u, u \text{ convex}",
            {"measure": "mu"},
        ),
        slip=True,
        note="The integrals are printed against Lebesgue measure, where they are always infinite. That q_s with s > 0"
        " has a"
        " density, which is needed, is clear; “dq_T/dq_s is non-singular” is not that.",
    ),
    Entry(
        "thm-4",
        "Poincaré: closed forms on a ball are exact",
        Statement(r"\mathrm{d}\omega = 0 \Rightarrow \omega = \mathrm{d}\phi", {"closed": True}),
        Verdict.HOLDS,
        has_potential,
        note="For the form of degree one of a map T the assumption says that the Jacobian of T is symmetric.",
    ),
    Entry(
        "remark-1",
        "the same on all of space",
        Statement(r"U = \mathbb{R}^n", {"closed": True}),
        Verdict.HOLDS,
        has_potential,
        note="By the same integration along rays.",
    ),
    Entry(
        "prose-A.10-potential",
        "the potential of the map exists by Poincaré's theorem",
        Statement(r"T_{s,T} = \nabla u \text{ for some } u, \text{ for all data}", {"atoms": GENERAL}),
        Verdict.FALSE,
        always_symmetric,
        Statement(
            r"T_{s,T} = \nabla u \iff \frac{\partial T_{s,T}}{\partial x}(x) \text{ is symmetric for every } x;"
            r"\text{ for atoms on a line it is}",
            {"atoms": COLLINEAR},
        ),
        note="The form is closed only if the Jacobian is symmetric, which is what had to be shown. For three atoms in"
        " general"
        " position it is not: the antisymmetric part of the Jacobian over a short time h is h³/6 times a commutator"
        " that is"
        " proven not to vanish. The proof is announced as one of Proposition 1; Theorem 1 is meant.",
    ),
    Entry(
        "thm-5",
        "convex if and only if the Hessian is positive semi-definite",
        Statement(
            r"f \in C^2 \text{ convex on } C \iff \nabla^2 f(x) \succeq 0 \text{ for every } x \in C", {"factor": 1}
        ),
        Verdict.HOLDS,
        quadratic_convexity,
        note="A cited theorem; derived for quadratic functions.",
    ),
    Entry(
        "eq-49",
        "the Hessian",
        Statement(
            r"Q_x = (q_{ij}(x)),\quad q_{ij}(x) = \frac{\partial^2 f}{\partial\xi_i\partial\xi_j}(\xi_1,\ldots,\xi_n)",
            {"factor": 1},
        ),
        Verdict.HOLDS,
        quadratic_convexity,
        note="A definition; evaluated with Theorem 5.",
    ),
    Entry(
        "eq-50",
        "the Jacobian of the map to the end, and where it starts",
        Statement(r"A(t) = \frac{\partial T_{t,T}(x_t)}{\partial x_t},\quad A(T) = I", {"time": "T"}),
        Verdict.HOLDS,
        start_of_jacobian,
    ),
    Entry(
        "eq-51",
        "the ODE of the Jacobian",
        Statement(
            r"\frac{\mathrm{d}A}{\mathrm{d}t} = f A + \frac{g^2}{2} A \nabla_{x_t}\log q_t(x_t) = A B",
            {"drift_sign": 1},
        ),
        Verdict.FALSE,
        all_of(derivation("eq-51"), one_atom_map),
        Statement(
            r"\frac{\mathrm{d}A}{\mathrm{d}t} = -A\frac{\partial h}{\partial x_t}"
            r" = -f A + \frac{g^2}{2} A \nabla^2_{x_t}\log q_t(x_t) = A B",
            {"drift_sign": -1},
        ),
        note="The sign of f flips from the second line to the third; the third and fourth write the score where its"
        " Jacobian is meant.",
    ),
    Entry(
        "eq-52",
        "the fundamental matrix",
        Statement(r"C'(t) = B(t) C(t),\ C(T) = I", {"trace_factor": 1}),
        Verdict.HOLDS,
        liouville,
        note="A definition, of the fundamental matrix for B(·), not “for B(T)”; a linear ODE, so it exists and is never"
        " singular.",
    ),
    Entry(
        "eq-53",
        "the Jacobian is the fundamental matrix",
        Statement(r"\frac{\partial T_{t,T}(x_t)}{\partial x_t} = A(t) = C(t) A(T) = C(t)", {"transposed": 0}),
        Verdict.CORRECTED,
        derivation("eq-53"),
        Statement(r"\frac{\partial T_{t,T}(x_t)}{\partial x_t} = A(t) = C(t)^\top", {"transposed": 1}),
        slip=True,
        note="A' = A B (eq. 51), C' = B C (eq. 52): where B does not commute with itself over time, A is Cᵀ. Symmetry"
        " and"
        " definiteness are the same for both.",
    ),
)
