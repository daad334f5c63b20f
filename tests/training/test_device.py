"""Where a network is trained, and in which precision."""

import pytest
import torch

from pruning_core.config.spec import TrainSpec
from pruning_core.errors import UnavailableError
from pruning_core.training.device import resolve_device, resolve_precision


def test_precision_is_what_was_asked_or_what_is_fast(monkeypatch):
    """`auto` resolves by the device, a named precision stays."""
    cpu = torch.device("cpu")
    monkeypatch.setattr("pruning_core.training.device.fast_bf16", lambda _: True)
    assert resolve_precision(TrainSpec(), cpu) == "bf16"
    assert resolve_precision(TrainSpec(precision="fp32"), cpu) == "fp32"
    monkeypatch.setattr("pruning_core.training.device.fast_bf16", lambda _: False)
    assert resolve_precision(TrainSpec(), cpu) == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there():
    """Training on CUDA where there is none is one line."""
    with pytest.raises(UnavailableError, match="cannot train on cuda"):
        resolve_device(TrainSpec(device="cuda"))
