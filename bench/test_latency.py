"""How long one call takes, in pairs: pruned against dense, dense against dense on eager fp32."""

import pytest

from pruning_core.pytest_plugin import record_samples


def test_latency(latency_cell, harness, benchmark):
    """Each cell is measured in A B B A rounds with its reference; how fast it must be is for the gate."""
    if benchmark.disabled:
        pytest.skip("--benchmark-disable: latency is not measured")
    if harness.checkpoint(latency_cell.variant).metrics.exhausted:
        pytest.skip("exhausted: this step removed nothing that the one before had not")
    record, samples_s = harness.latency_record(latency_cell)
    record_samples(benchmark, samples_s, record)
    assert record["speedup_low"] <= record["speedup"] <= record["speedup_high"]
