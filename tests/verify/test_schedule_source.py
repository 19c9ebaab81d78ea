"""The schedules of replay scripts are those of the cases."""

import numpy as np
import pytest

from afi_properties.estimates import estimate_problem
from afi_properties.training import SCHEDULES as OF_TRAINING
from afi_properties.trajectory_cases import SCHEDULES
from afi_verify.schedule_source import source_of, stand_alone

ALL = {s.name: s for s in (*SCHEDULES, *OF_TRAINING, estimate_problem("exact", 1, 0, 0).schedule)}


@pytest.mark.parametrize("schedule", ALL.values(), ids=lambda schedule: schedule.name)
def test_it_is_the_schedule(schedule):
    mine = stand_alone(schedule.name)
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * np.array([0.01, 0.3, 0.5, 0.9])
    assert (mine.t_min, mine.t_max) == (schedule.t_min, schedule.t_max)
    for name in ("alpha", "sigma", "f", "g2", "log_snr"):
        right = getattr(schedule, name)(t)
        np.testing.assert_allclose(getattr(mine, name)(t), right, rtol=1e-13, atol=1e-13, err_msg=name)
        one = getattr(mine, name)(float(t[1]))
        assert type(one) is float
        assert one == pytest.approx(right[1], rel=1e-13, abs=1e-13)


def test_its_source_stands_alone():
    spoken = {}
    exec("import math, sys\nimport numpy\nfrom typing import Any\n\n\n" + source_of("sub-vp"), spoken)
    assert spoken["schedule"].sigma(0.5) == pytest.approx(stand_alone("sub-vp").sigma(0.5))


def test_torch_times_stay_torch():
    torch = pytest.importorskip("torch")
    for name in ALL:
        times = torch.tensor([0.25, 0.5], dtype=torch.float64)
        for part in ("alpha", "sigma", "f", "g2"):
            answer = getattr(stand_alone(name), part)(times)
            assert (answer.dtype, answer.shape) == (times.dtype, times.shape)
