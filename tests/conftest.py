"""Lets the tests run side by side (`pytest -n 2`), and in any order."""

import os

import pytest
import torch

# Our tests run pytest inside pytest. An inner run that finds this variable believes that it is a worker of
# pytest-xdist itself, and pytest-benchmark then measures nothing.
os.environ.pop("PYTEST_XDIST_WORKER", None)


@pytest.fixture(autouse=True)
def _same_weights_in_any_order():
    """Draw what a test draws from one seed, whatever ran before it."""
    torch.manual_seed(0)
