"""Batch norms of untrained networks, before they are timed."""

import torch
from torch import nn

from pruning_core.shapes.norms import with_new_statistics

EXAMPLE = torch.zeros(1, 3, 8, 8)
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


def deep_net(norm: type[nn.Module] = nn.BatchNorm2d) -> nn.Module:
    """Return a network through which numbers fade away: each layer makes them a tenth, and fewer."""
    layers: list[nn.Module] = []
    for _ in range(30):
        convolution = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.constant_(convolution.weight, 0.01)
        layers += [convolution, norm(3)]
    return nn.Sequential(*layers)


def smallest_output(network: nn.Module) -> float:
    """Return the mean of what the fadest layer gives."""
    means = []
    for layer in network:
        layer.register_forward_hook(lambda _layer, _inputs, output: means.append(float(output.abs().mean())))
    with torch.inference_mode():
        network.eval()(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    return min(means)


def test_no_number_fades_away() -> None:
    """Behind many layers activations were denormal; with new statistics they are of ordinary size."""
    network = deep_net()
    assert smallest_output(with_new_statistics(network, EXAMPLE)) > 1e-3
    assert smallest_output(network) < SMALLEST_NORMAL


def test_the_network_stays_as_it_is() -> None:
    """A copy gets the statistics; its momentum and mode are those of a network that runs."""
    network = deep_net().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    changed = with_new_statistics(network, EXAMPLE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training
    assert not any(module.training for module in changed.modules())
    assert changed[1].momentum == network[1].momentum


class OneExampleAtATime(nn.Module):
    """A network that takes no batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Refuse more than one example."""
        if len(x) > 1:
            raise ValueError("one at a time")
        return self.norm(x)


class WithAuxiliaryHead(nn.Module):
    """A network with a branch that runs in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.head.running_mean.fill_(7.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the head in training."""
        return self.head(x) if self.training else self.norm(x)


def test_a_network_that_takes_no_such_batch_is_timed_as_it_is() -> None:
    """What cannot be run in this way, or has no batch norm, is given back."""
    for network in (OneExampleAtATime(), deep_net(nn.Identity)):
        assert with_new_statistics(network, EXAMPLE) is network


def test_a_norm_that_does_not_run_keeps_its_statistics() -> None:
    """An auxiliary head is not reset by that."""
    changed = with_new_statistics(WithAuxiliaryHead(), EXAMPLE)
    assert torch.equal(changed.head.running_mean, torch.full((3,), 7.0))
    assert not torch.equal(changed.norm.running_mean, torch.zeros(3))
