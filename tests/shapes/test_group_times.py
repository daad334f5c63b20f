"""Times of groups: which networks are measured, how weights follow groups, with a fake clock."""

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import BackendError, PruningError
from pruning_core.pruning.latency_aware import LatencyAware
from pruning_core.pruning.ranked import rank_network
from pruning_core.pruning.step import prune
from pruning_core.shapes.allocate import allocate, allocate_ratio
from pruning_core.shapes.group_times import _cut as cut
from pruning_core.shapes.group_times import follow_weights, measure_group_times, sample_widths
from pruning_core.shapes.timing import Setting
from tests.helpers.fake_times import fake_time_shapes, work_of
from tests.helpers.mask_networks import EXAMPLE, build_tiny


class Joined(nn.Module):
    """Two branches, one behind the other in what reads them; then flattened; a depthwise layer."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(3, 8, 3, padding=1)
        self.right = nn.Conv2d(3, 16, 3, padding=1)
        self.read = nn.Conv2d(24, 32, 1, stride=8)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.fc = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images):
        """Return logits."""
        x = torch.cat([self.left(images), self.right(images)], dim=1)
        return self.fc(torch.relu(self.depthwise(torch.relu(self.read(x)))).flatten(1))


def ranked_of(network, **fields):
    """Return a network and its groups."""
    method = MethodSpec(name="latency-aware", **fields)
    return rank_network(network, method, EXAMPLE, LatencyAware().importance())


@pytest.fixture
def asked(monkeypatch):
    """Let networks take as long as they have work, and note what is measured."""
    return fake_time_shapes(monkeypatch)


@pytest.mark.parametrize("build", [build_tiny, Joined])
def test_the_model_predicts_networks_that_it_never_saw(asked, build):
    """Where time is work, times of other widths come out: concatenated, flattened, depthwise layers too."""
    ranked = ranked_of(build())
    times = measure_group_times(ranked, EXAMPLE, Setting())
    assert len(times.errors) >= 4
    assert max(map(abs, times.errors)) < 0.05
    assert times.dense_ms == pytest.approx(work_of(build(), EXAMPLE))


def test_each_dimension_follows_its_groups():
    """A weight behind a concatenation follows both; one behind a flattening, with each pixel."""
    ranked = ranked_of(Joined())
    index = {group.roots[0]: number for number, group in enumerate(ranked.groups)}
    by_macs = {weight.macs: weight.dimensions for weight in follow_weights(ranked, EXAMPLE)}
    read = by_macs[24 * 32 * 4 * 4]
    assert {size.dense: set(size.follows) for size in read} == {
        32: {(index["read"], 1.0)},
        24: {(index["left"], 1.0), (index["right"], 1.0)},
    }
    (flattened,) = by_macs[512 * 10]
    assert flattened.follows == ((index["read"], 16.0),)
    (depthwise,) = by_macs[32 * 9 * 4 * 4]  # one weight a channel
    assert depthwise.dense == 32


def test_a_group_of_one_width_is_followed_by_nothing():
    """16 channels in steps of 16: only the group of 32 can be narrowed, and weights follow it alone."""
    ranked = ranked_of(build_tiny(), round_to=16)
    wide = [number for number, group in enumerate(ranked.groups) if group.channels == 32]
    follows = [pair for w in follow_weights(ranked, EXAMPLE) for d in w.dimensions for pair in d.follows]
    assert follows
    assert {index for index, _ in follows} == set(wide)


def test_the_networks_measured_are_the_same_each_time(asked):
    """Dense first, uniform ones, then mixed ones, some of them kept aside; no widths twice."""
    ranked = ranked_of(build_tiny())
    samples = sample_widths(ranked)
    assert samples == sample_widths(ranked)
    assert samples[0] == ((32, 16), True) or samples[0] == ((16, 32), True)
    widths = [pair for pair, _ in samples]
    assert len(set(widths)) == len(widths)
    assert sum(not fitted for _, fitted in samples) >= 4
    measure_group_times(ranked, EXAMPLE, Setting())
    assert sum(asked) == len(samples) - 1  # dense is what they are measured against


def test_progress_is_told_in_networks(asked):
    """From none to all of them."""
    seen = []
    ranked = ranked_of(build_tiny())
    measure_group_times(
        ranked, EXAMPLE, Setting(), advance=lambda done, planned: seen.append((done, planned))
    )
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] == len(sample_widths(ranked)) - 1


def test_a_backend_that_runs_no_narrow_network_is_one_line(monkeypatch):
    """Nothing can be said of its times."""
    fake_time_shapes(monkeypatch, fails=True)
    with pytest.raises(BackendError, match="runs no network that was cut"):
        measure_group_times(ranked_of(build_tiny()), EXAMPLE, Setting())


def test_nothing_to_cut_is_one_line():
    """Where all is protected nothing is measured."""
    with pytest.raises(PruningError, match="nothing in this model can be cut"):
        ranked_of(build_tiny(), protect=["stem", "inner", "outer"])


def test_an_allocation_is_as_fast_as_asked_and_can_be_cut(asked):
    """What `allocate` returns is pruned as it says, and the network has no more work than that."""
    dense = build_tiny()
    method = MethodSpec(name="latency-aware", round_to=2)
    budget = 0.4 * work_of(dense, EXAMPLE)
    allocation = allocate(dense, EXAMPLE, method, Setting(), budget)
    network = build_tiny()
    method = MethodSpec(name="latency-aware", round_to=2, allocation=allocation)
    assert prune(network, dense, method, 0.5, EXAMPLE, seed=0).proof == "exact"
    assert work_of(network, EXAMPLE) <= 1.05 * budget


def test_a_ratio_means_the_time_of_uniform_pruning_at_it(asked):
    """Each is as fast as `magnitude` at that ratio; along a chain nothing becomes wider."""
    ranked = ranked_of(build_tiny())
    times = measure_group_times(ranked, EXAMPLE, Setting())
    before = dict.fromkeys(times.roots, 99)
    allocation = ()
    for ratio in (0.25, 0.5, 0.75):
        allocation = allocate_ratio(ranked, times, ratio, allocation)
        widths = dict(zip(times.roots, times.dense_widths, strict=True)) | dict(allocation)
        uniform = times.time_ms([ranked.width_at(index, ratio) for index in range(len(times.roots))])
        assert times.time_ms([widths[root] for root in times.roots]) <= uniform * (1 + 1e-6)
        assert all(widths[root] <= before[root] for root in times.roots)
        before = widths


def test_a_layers_own_ratio_and_protection_hold(asked):
    """A group with a ratio of its own keeps that width; a protected one is in no allocation."""
    ranked = ranked_of(build_tiny(), ratio_of={"inner": 0.25})
    times = measure_group_times(ranked, EXAMPLE, Setting())
    allocation = allocate_ratio(ranked, times, 0.5)
    assert dict(allocation)["inner"] == 24
    for whole in times.wholes:  # the widest of them is not the dense network, and takes less time
        network = cut(ranked, EXAMPLE, whole.widths)
        assert whole.measured == pytest.approx(work_of(network, EXAMPLE) / work_of(build_tiny(), EXAMPLE))
    ranked = ranked_of(build_tiny(), protect=["inner"])
    assert [sorted(group.outputs & {"stem", "inner"}) for group in ranked.groups] == [["stem"]]
