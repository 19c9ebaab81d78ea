"""Maps of the probability-flow ODE, Jacobians and criteria with one mistake each; the printed formulas among them."""

import numpy as np

from tests.zoo.following import (
    definite,
    follow,
    fundamental,
    heun,
    levels,
    posterior,
    symmetric,
    velocity,
    velocity_jacobian,
)
from tests.zoo.specimen import Fault, mutant

MAP, JACOBIAN, OPTIMAL = "transport_map", "transport_jacobian", "transport_is_optimal"


def _score(x, alpha, sigma, data, weights):
    return (alpha * posterior(x, alpha, sigma, data, weights)[1] - x) / sigma**2


def _covariance(x, t, data, weights, schedule):
    alpha, sigma, _, _ = levels(schedule, t)
    return posterior(x, alpha, sigma, data, weights)[2]


def _eye(x):
    return np.eye(x.shape[1], dtype=x.dtype)


@mutant(MAP, "numpy", "g for g^2.", Fault.POWER_OF_G)
def g_not_squared(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, f, g2 = levels(schedule, t)
        return f * x - np.sqrt(g2) / 2 * _score(x, alpha, sigma, data, weights)

    return follow(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(MAP, "numpy", "The factor 1/2 of g^2 is missing: the drift of the reverse SDE.", Fault.CONSTANT)
def reverse_sde_drift(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, f, g2 = levels(schedule, t)
        return f * x - g2 * _score(x, alpha, sigma, data, weights)

    return follow(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(MAP, "numpy", "The wrong sign of f.", Fault.SIGN)
def drift_sign(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, f, g2 = levels(schedule, t)
        return -f * x - g2 / 2 * _score(x, alpha, sigma, data, weights)

    return follow(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(MAP, "numpy", "The wrong sign of the score.", Fault.SIGN)
def score_sign(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, f, g2 = levels(schedule, t)
        return f * x + g2 / 2 * _score(x, alpha, sigma, data, weights)

    return follow(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(MAP, "numpy", "No drift: right for VE schedules alone.", Fault.TERM_DROPPED)
def drift_dropped(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, _, g2 = levels(schedule, t)
        return -g2 / 2 * _score(x, alpha, sigma, data, weights)

    return follow(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(MAP, "numpy", "Uniform weights for the atoms' own.", Fault.WEIGHTS_IGNORED)
def weights_ignored(x, data, weights, schedule, t_start, t_end, num_steps):
    return follow(x, data, np.full_like(weights, 1 / len(weights)), schedule, t_start, t_end, num_steps)


@mutant(MAP, "numpy", "The posterior mean of the start, all the way.", Fault.FROZEN)
def mean_of_the_start(x, data, weights, schedule, t_start, t_end, num_steps):
    alpha, sigma, _, _ = levels(schedule, t_start)
    mean = posterior(x, alpha, sigma, data, weights)[1]
    alpha_end, sigma_end, _, _ = levels(schedule, t_end)
    return (alpha_end * mean + sigma_end / sigma * (x - alpha * mean)).astype(x.dtype)


@mutant(MAP, "numpy", "Start and end are swapped.", Fault.ENDS)
def start_and_end_swapped(x, data, weights, schedule, t_start, t_end, num_steps):
    return follow(x, data, weights, schedule, t_end, t_start, num_steps)


@mutant(MAP, "numpy", "One step short of the end, however many there are.", Fault.ENDS)
def stops_at_nine_tenths(x, data, weights, schedule, t_start, t_end, num_steps):
    return follow(x, data, weights, schedule, t_start, t_end - 0.1 * (t_end - t_start), num_steps)


@mutant(JACOBIAN, "numpy", "B of eq. 22 and 51 as printed: the wrong sign of f.", Fault.SIGN)
def eq_51_as_printed(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        return velocity_jacobian(x, t, data, weights, schedule) - 2 * float(schedule.f(t)) * _eye(x)

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(JACOBIAN, "numpy", "C itself, as eq. 53 prints it: the transpose.", Fault.TRANSPOSED)
def eq_53_as_printed(x, data, weights, schedule, t_start, t_end, num_steps):
    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps).swapaxes(1, 2).copy()


@mutant(JACOBIAN, "numpy", "The fundamental matrix multiplied in the wrong order.", Fault.TRANSPOSED)
def wrong_order(x, data, weights, schedule, t_start, t_end, num_steps):
    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, right=True)


@mutant(JACOBIAN, "numpy", "The exponential of the integral of B, as if it commuted over time.", Fault.STRUCTURE)
def exponential_of_the_integral(x, data, weights, schedule, t_start, t_end, num_steps):
    def slope(t, state):
        point, _ = state
        H = velocity_jacobian(point, t, data, weights, schedule).astype(x.dtype)
        return velocity(point, t, data, weights, schedule).astype(x.dtype), H

    integral = heun((x, np.zeros((len(x), *_eye(x).shape), x.dtype)), t_start, t_end, num_steps, slope)[1]
    values, axes = np.linalg.eigh(integral)
    return (axes * np.exp(values)[:, None]) @ axes.swapaxes(1, 2)


@mutant(JACOBIAN, "numpy", "The symmetric part alone.", Fault.STRUCTURE)
def symmetric_part(x, data, weights, schedule, t_start, t_end, num_steps):
    J = fundamental(x, data, weights, schedule, t_start, t_end, num_steps)
    return (J + J.swapaxes(1, 2)) / 2


@mutant(JACOBIAN, "numpy", "B at the start point, not along the trajectory.", Fault.FROZEN)
def point_not_moved(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(_, t, data, weights, schedule):
        return velocity_jacobian(x, t, data, weights, schedule)

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(JACOBIAN, "numpy", "g for g^2.", Fault.POWER_OF_G)
def generator_g_not_squared(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        _, _, f, g2 = levels(schedule, t)
        H = velocity_jacobian(x, t, data, weights, schedule)
        return f * _eye(x) + (H - f * _eye(x)) / np.sqrt(g2)

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(JACOBIAN, "numpy", "The factor 1/2 of g^2 is missing.", Fault.CONSTANT)
def half_missing(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        f = float(schedule.f(t))
        return 2 * velocity_jacobian(x, t, data, weights, schedule) - f * _eye(x)

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(JACOBIAN, "numpy", "sigma^3 for sigma^4.", Fault.POWER_OF_SIGMA)
def sigma_cubed(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, _, g2 = levels(schedule, t)
        H, covariance = velocity_jacobian(x, t, data, weights, schedule), _covariance(x, t, data, weights, schedule)
        return H + alpha**2 * g2 / 2 * (sigma**-4 - sigma**-3) * covariance

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(JACOBIAN, "numpy", "alpha for alpha^2.", Fault.POWER_OF_ALPHA)
def alpha_not_squared(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, _, g2 = levels(schedule, t)
        H, covariance = velocity_jacobian(x, t, data, weights, schedule), _covariance(x, t, data, weights, schedule)
        return H + (alpha**2 - alpha) * g2 / (2 * sigma**4) * covariance

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(JACOBIAN, "numpy", "The second moment for the covariance.", Fault.TERM_DROPPED)
def mean_not_subtracted(x, data, weights, schedule, t_start, t_end, num_steps):
    def wrong(x, t, data, weights, schedule):
        alpha, sigma, _, g2 = levels(schedule, t)
        mean = posterior(x, alpha, sigma, data, weights)[1]
        H = velocity_jacobian(x, t, data, weights, schedule)
        return H - alpha**2 * g2 / (2 * sigma**4) * mean[:, :, None] * mean[:, None]

    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps, wrong)


@mutant(JACOBIAN, "numpy", "The Jacobian of the inverse map.", Fault.INVERSE)
def of_the_inverse(x, data, weights, schedule, t_start, t_end, num_steps):
    return np.linalg.inv(fundamental(x, data, weights, schedule, t_start, t_end, num_steps))


@mutant(JACOBIAN, "numpy", "The diagonal alone.", Fault.DIAGONAL)
def diagonal_alone(x, data, weights, schedule, t_start, t_end, num_steps):
    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps) * _eye(x)


def _jacobian(x, data, weights, schedule, t_start, t_end, num_steps):
    x = x.astype(np.float64)
    return fundamental(x, data, weights, schedule, t_start, t_end, num_steps)


@mutant(OPTIMAL, "numpy", "Theorem 1 as printed: the symmetric part is definite.", Fault.CRITERION)
def theorem_1_as_printed(x, data, weights, schedule, t_start, t_end, num_steps):
    return definite(_jacobian(x, data, weights, schedule, t_start, t_end, num_steps))


@mutant(OPTIMAL, "numpy", "A Cholesky factorisation that succeeds, which reads one triangle only.", Fault.CRITERION)
def cholesky_succeeds(x, data, weights, schedule, t_start, t_end, num_steps):
    def succeeds(matrix):
        try:
            np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return False
        return True

    jacobians = _jacobian(x, data, weights, schedule, t_start, t_end, num_steps)
    return np.array([succeeds(matrix) for matrix in jacobians])


@mutant(OPTIMAL, "numpy", "Real positive eigenvalues, which a matrix can have that is not symmetric.", Fault.CRITERION)
def real_positive_eigenvalues(x, data, weights, schedule, t_start, t_end, num_steps):
    values = np.linalg.eigvals(_jacobian(x, data, weights, schedule, t_start, t_end, num_steps))
    return (values.real > 0).all(axis=1) & (abs(values.imag) < 1e-9 * abs(values)).all(axis=1)


@mutant(OPTIMAL, "numpy", "A positive determinant, which every flow has.", Fault.CRITERION)
def positive_determinant(x, data, weights, schedule, t_start, t_end, num_steps):
    return np.linalg.det(_jacobian(x, data, weights, schedule, t_start, t_end, num_steps)) > 0


@mutant(OPTIMAL, "numpy", "Symmetry of B, which always is, for that of the fundamental matrix.", Fault.CRITERION)
def generator_symmetric(x, data, weights, schedule, t_start, t_end, num_steps):
    B = -velocity_jacobian(x.astype(np.float64), t_start, data, weights, schedule)
    return symmetric(B)


@mutant(OPTIMAL, "numpy", "One answer for the batch: whether all of its points pass.", Fault.BATCH)
def whole_batch_decides(x, data, weights, schedule, t_start, t_end, num_steps):
    J = _jacobian(x, data, weights, schedule, t_start, t_end, num_steps)
    return np.full(len(x), bool((symmetric(J) & definite(J)).all()))


@mutant(OPTIMAL, "numpy", "The rank of the data: not optimal unless they are collinear.", Fault.CRITERION)
def collinear_data_only(x, data, weights, schedule, t_start, t_end, num_steps):
    values = np.linalg.svd(data - data.mean(axis=0), compute_uv=False)
    return np.full(len(x), bool((values[1:] <= 1e-5 * values[:1]).all()))


@mutant(OPTIMAL, "numpy", "A tolerance of half of the norm.", Fault.CRITERION)
def loose_tolerance(x, data, weights, schedule, t_start, t_end, num_steps):
    J = _jacobian(x, data, weights, schedule, t_start, t_end, num_steps)
    return symmetric(J, 0.5) & definite(J)


@mutant(OPTIMAL, "numpy", "Symmetry negated.", Fault.SIGN)
def answer_negated(x, data, weights, schedule, t_start, t_end, num_steps):
    return ~symmetric(_jacobian(x, data, weights, schedule, t_start, t_end, num_steps))


@mutant(MAP, "numpy", "The covariances of the components are ignored, as if they were Diracs.", Fault.COVARIANCES)
def component_covariances_ignored(x, means, covariances, weights, schedule, t_start, t_end, num_steps):
    return follow(x, means, weights, schedule, t_start, t_end, num_steps)


@mutant(JACOBIAN, "numpy", "The Jacobian of the components' centres, as if they were Diracs.", Fault.COVARIANCES)
def components_as_diracs(x, means, covariances, weights, schedule, t_start, t_end, num_steps):
    return fundamental(x, means, weights, schedule, t_start, t_end, num_steps)
