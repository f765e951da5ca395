"""When a run is measured, and its learning rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervelab.study.config import Measure, RunConfig
from nervelab.training.schedule import learning_rate_factor, measuring_steps


def schedule(**settings) -> Measure:
    return Measure(source="probe", tokens=64, chunk=1, **({"early": ()} | settings))


def test_points_are_equally_spaced_and_end_at_the_last_step():
    assert measuring_steps(schedule(points=4, early=(0, 3)), 100) == (0, 3, 25, 50, 75, 100)


def test_every_includes_the_last_step():
    assert measuring_steps(schedule(every=40), 100) == (40, 80, 100)


@given(total=st.integers(1, 500), points=st.integers(1, 50), early=st.lists(st.integers(0, 600)))
def test_steps_ascend_lie_in_the_run_and_contain_the_last(total: int, points: int, early: list[int]):
    steps = measuring_steps(schedule(points=points, early=tuple(early)), total)
    assert list(steps) == sorted(set(steps))
    assert steps[-1] == total
    assert {step for step in early if step <= total} <= set(steps)


def test_a_late_decay_leaves_the_rate_alone_until_then(smoke_config: RunConfig):
    late = {"steps": 100, "warmup": 0.1, "decay": "linear", "decay_share": 0.2, "final_lr": 0.0}
    training = smoke_config.training.model_copy(update=late)
    factors = [learning_rate_factor(training, step) for step in range(100)]
    assert factors[9:81] == [1.0] * 72
    assert factors[89:] == pytest.approx([10 / 19 - step / 19 for step in range(11)])
    early = smoke_config.training.model_copy(update=late | {"decay_share": 1.0})
    assert learning_rate_factor(early, 50) == pytest.approx(1 - 40 / 89)


@pytest.mark.parametrize(
    ("decay", "middle", "last"), [("cosine", 0.55, 0.1), ("linear", 0.55, 0.1), ("constant", 1.0, 1.0)]
)
def test_warm_up_then_decay(smoke_config: RunConfig, decay: str, middle: float, last: float):
    training = smoke_config.training.model_copy(update={"steps": 121, "warmup": 20 / 121, "decay": decay})
    factors = [learning_rate_factor(training, step) for step in range(121)]
    assert factors[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert factors[20] == pytest.approx(1.0)
    assert factors[70] == pytest.approx(middle)
    assert factors[120] == pytest.approx(last)


def test_the_cosine_is_the_cosine(smoke_config: RunConfig):
    training = smoke_config.training.model_copy(
        update={"steps": 101, "warmup": 0.0, "decay": "cosine", "final_lr": 0.0}
    )
    for step in (0, 25, 60, 100):
        assert learning_rate_factor(training, step) == pytest.approx(0.5 * (1 + math.cos(math.pi * step / 100)))
