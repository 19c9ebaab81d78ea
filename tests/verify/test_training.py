"""Training trace heads: wrong trainings are convicted, right ones are not, and the optimum is what Prop. 6 says."""

import functools
import re

import numpy as np
import pytest

from afi_properties.excess_risk import excess_risk, target_variance
from afi_properties.statistics import mean_interval
from afi_properties.training import diffused_points, levels_of, training_problems
from afi_reference import DiracMixture, GaussianMixture
from afi_reference.schedules import RectifiedFlow, VPCosine
from afi_verify import Adapter, verify
from afi_verify.results import Verdict

torch = pytest.importorskip("torch")
from afi_verify.implementations.torch_training import train_noise_prediction, train_trace_head  # noqa: E402
from tests.zoo.mutants import torch_training as wrong  # noqa: E402
from tests.zoo.specimen import MUTANTS  # noqa: E402
from tests.zoo.trainers import posterior_head  # noqa: E402

ROLE = "train_trace_head"
DATA = torch.tensor([[0.5, 0.0], [-1.0, 1.0], [0.0, -2.0]])
LAW = DiracMixture(DATA.double().numpy())


@functools.cache
def checked(backend, function, *, dtype="float32", seed=0, **options):
    adapter = Adapter("subject", backend=backend, dtype=dtype, **options)
    adapter.provides(ROLE, function)
    (check,) = verify(adapter, roles=[ROLE], scenarios=["dirac"], seed=seed).results.checks
    return check


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("one_over_d_missing", r"a mistake \(\|x_0\|\^2 not divided by d\): 9\d% of"),
        ("time_reversed", r"excess risk is .* of what can be explained \(95 % confidence: "),
        ("weights_ignored", r"\(weights ignored\): 100% of its error"),
        ("dropout_left_on", "is dropout still on"),
        ("batch_statistics", "depend on the other points of the batch"),
        ("column", r"returned \(8, 1\); expected a torch array of \(8,\)"),
        ("loss_returned", "expected a function head"),
    ],
)
def test_the_message_names_what_is_wrong(name, phrase):
    (specimen,) = [m for m in MUTANTS if m.function is getattr(wrong, name)]
    message = checked(specimen.backend, specimen.function).message
    assert re.search(phrase, message), message


def test_what_raises_is_an_error():
    def fails(data):
        raise RuntimeError("no")

    assert checked("numpy", fails).verdict is Verdict.ERROR
    assert "The head raised ZeroDivisionError" in checked("numpy", lambda data: lambda x, t: 1 // 0).message


def test_images_and_a_time_per_sample_are_handed_over():
    def train(data, weights, schedule):
        flat = posterior_head(data.reshape(len(data), -1), weights, schedule)

        def head(x, t):
            assert x.shape == (len(x), 1, 2, 2)
            assert t.shape == (len(x),)
            return flat(x.reshape(len(x), -1), float(t[0]))

        return head

    check = checked("numpy", train, dtype="float64", event_shape=(1, 2, 2), per_sample_noise=True)
    assert check.verdict is Verdict.PASS, check.message


def test_every_mistake_can_be_told_with_weights():
    check = checked("numpy", posterior_head)
    assert all(margin.telling for margin in check.margins)
    assert len(check.margins) == 18


def test_training_is_determined_by_the_seed():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    for train in (train_trace_head, train_noise_prediction):
        first, again, other = (train(DATA, RectifiedFlow(), seed, num_steps=5)(DATA, 0.5) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
    assert torch.equal(torch.rand(1), expected)  # the global generator is where it was


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": DATA[0]}, "data must be floating point"),
        ({"weights": torch.ones(2)}, "weights must have shape"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
        ({"network": torch.nn.Identity()}, "no parameters to train"),
        ({"data": lambda n, g: torch.ones(n, 2), "weights": torch.ones(3)}, "weights belong to a tensor"),
    ],
)
def test_bad_arguments_are_told(change, message):
    arguments = {"data": DATA, "schedule": RectifiedFlow(), "seed": 0, "num_steps": 2}
    with pytest.raises(ValueError, match=message):
        train_trace_head(**{**arguments, **change})


def test_a_network_of_the_wrong_shape_is_told():
    class Column(torch.nn.Linear):
        def forward(self, x, t):
            return super().forward(x)

    with pytest.raises(ValueError, match=r"must return shape \(256,\)"):
        train_trace_head(DATA, RectifiedFlow(), 0, network=Column(2, 1), num_steps=1)


def test_the_noise_prediction_comes_nearer_the_exact_one():
    schedule = RectifiedFlow()
    off = []
    for steps in (20, 600):
        eps, rng = train_noise_prediction(DATA, schedule, 0, num_steps=steps), np.random.default_rng(0)
        errors = []
        for t, alpha, sigma in zip(*levels_of(schedule), strict=True):
            x = diffused_points(LAW, np.full(64, alpha), np.full(64, sigma), rng)
            found = eps(torch.tensor(x, dtype=torch.float32), float(t)).numpy()
            errors.append(((found + sigma * LAW.score(x, alpha, sigma)) ** 2).mean())
        off.append(np.mean(errors))
    assert off[1] < off[0] / 2


def test_the_excess_risk_of_the_optimum_is_nothing_and_of_a_constant_everything():
    schedule, target = VPCosine(), float((DATA**2).mean())
    optimum = excess_risk(lambda x, t: LAW.posterior_second_moment(x, *noise(schedule, t)) / 2, LAW, schedule)
    constant = excess_risk(lambda x, t: np.full(len(x), target), LAW, schedule)
    assert optimum.excess == optimum.low == optimum.high == 0
    assert constant.relative[1] < 1 < constant.relative[2]
    assert constant.relative[0] == pytest.approx(1, abs=0.05)


def noise(schedule, t):
    return float(schedule.alpha(t)), float(schedule.sigma(t))


@pytest.mark.parametrize("law", ["diracs", "mixture"])
def test_bayes_risk_and_what_can_be_explained_make_up_the_variance(law):
    """The Bayes risk by its definition, the mean posterior variance of |x_0|^2 / d, from targets that are drawn."""
    rng, schedule = np.random.default_rng(0), RectifiedFlow()
    if law == "diracs":
        data = LAW
    else:
        data = GaussianMixture(
            np.array([[1.0, 0], [0, 2]]), np.stack([np.diag([0.5, 1]), np.eye(2)]), np.array([0.3, 0.7])
        )
    x0 = diffused_points(data, np.ones(200_000), np.full(200_000, 1e-12), rng)
    target = (x0**2).mean(axis=1)
    assert target.var() == pytest.approx(target_variance(data), rel=0.03)
    count = 3000 if law == "diracs" else 25_000  # where points are cheap, since tails are heavier
    risk = excess_risk(lambda x, t: np.zeros(len(x)), data, schedule, points=count)
    drawn = []
    for t, own, targets in zip(levels_of(schedule)[0], np.split(x0, 8), np.split(target, 8), strict=True):
        alpha, sigma = noise(schedule, t)
        x = alpha * own[:count] + sigma * rng.standard_normal((count, 2))
        optimum = data.posterior_second_moment(x, alpha, sigma) / 2
        drawn.append(((optimum - targets[:count]) ** 2).mean())
    assert np.mean(drawn) == pytest.approx(risk.bayes, rel=0.05)


def test_intervals_hold_the_mean():
    rng = np.random.default_rng(0)
    for draw in (rng.standard_exponential, lambda n: rng.standard_normal(n) ** 2, lambda n: rng.random(n) < 0.3):
        found = [mean_interval(np.asarray(draw(200), dtype=float)) for _ in range(60)]
        mean = np.mean(np.asarray(draw(200_000), dtype=float))
        assert sum(not low <= mean <= high for low, high in found) <= 8  # of 60, where 3 are expected at most
    narrow, wide = (np.ptp(mean_interval(rng.standard_exponential(n))) for n in (10_000, 100))
    assert narrow < wide / 3
    with pytest.raises(ValueError, match="not negative"):
        mean_interval(np.array([-1.0]))


def test_problems_are_the_same_again_and_weighted_on_demand():
    for weighted in (True, False):
        first, again = (list(training_problems(weighted, None, 5, 3)) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            assert (one.values["data"] == other.values["data"]).all()
            assert (np.ptp(one.values["weights"]) > 0) == weighted
