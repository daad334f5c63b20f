"""The learning rate of each step."""

import math
import warnings

import pytest
import torch

from pruning_core.config.spec import TrainSpec
from pruning_core.training.schedule import learning_rate


@pytest.mark.parametrize(("steps", "warmup"), [(20, 0.25), (100, 0.3), (7, 0.5)])
def test_onecycle_is_torchs(steps, warmup):
    """The learning rate of each step is that of torch's OneCycleLR."""
    spec = TrainSpec(learning_rate=0.3, warmup=warmup)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.3, total_steps=steps, pct_start=warmup, cycle_momentum=False
    )
    for step in range(steps):
        assert math.isclose(learning_rate(spec, step, steps), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
        optimizer.step()
        with warnings.catch_warnings():
            torchs.step()


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_cosine_is_torchs(steps):
    """The learning rate of each step is that of torch's CosineAnnealingLR, which begins at the peak."""
    spec = TrainSpec(learning_rate=0.3, lr_schedule="cosine")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(steps):
        assert math.isclose(learning_rate(spec, step, steps), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
        optimizer.step()
        torchs.step()
    assert learning_rate(spec, 0, steps) == 0.3
    assert learning_rate(spec, steps - 1, steps) > 0


def test_one_step_is_enough():
    """A training of a single step has a learning rate."""
    assert learning_rate(TrainSpec(learning_rate=0.3), 0, 1) > 0


def test_a_warm_up_of_one_step_starts_at_the_peak():
    """Where the warm-up has a single step, there is nothing to rise over."""
    assert learning_rate(TrainSpec(learning_rate=0.3, warmup=0.25), 0, 4) == pytest.approx(0.3)
