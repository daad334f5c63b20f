"""How long one call takes, in pairs: pruned against dense, dense against dense on eager fp32."""

import pytest

from pruning_core.pytest_plugin import record_samples, skip_unless_timing


def test_latency(latency_cell, harness, thresholds, benchmark):
    """Each cell is timed in pairs with its reference, and answers as eager fp32 does.

    How fast it must be is for the gate.
    """
    skip_unless_timing(benchmark)
    if harness.models.checkpoint(latency_cell.variant).metrics.exhausted:
        pytest.skip("exhausted: this step removed nothing that the one before had not")
    threshold = thresholds.find(latency_cell.variant, latency_cell.backend, latency_cell.precision)
    record, samples_s = harness.latency_record(latency_cell, threshold)
    record_samples(benchmark, samples_s, record)
    # A task need not say when two answers agree.
    agreement, floor = record.get("agreement"), record.get("min_agreement")
    assert agreement is None or agreement >= floor, (
        f"only {agreement:.4f} of the answers are those of eager fp32, below {floor:.4f}"
    )
