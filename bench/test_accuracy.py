"""What accuracy or score is left, on every backend and precision. The time is that of the whole test."""

import pytest

from pruning_core.config.thresholds import check_score
from pruning_core.records.score import score_of


def test_accuracy(accuracy_cell, harness, thresholds, benchmark):
    """Accuracy stays above its floor, and no further below dense than bench/thresholds.toml allows."""
    threshold = thresholds.find(accuracy_cell.variant, accuracy_cell.backend, accuracy_cell.precision)
    if harness.models.checkpoint(accuracy_cell.variant).metrics.exhausted:
        pytest.skip("exhausted: this step removed nothing that the one before had not")
    benchmark.pedantic(harness.models.evaluate, args=(accuracy_cell,), rounds=1)
    record = harness.accuracy_record(accuracy_cell, threshold)
    benchmark.extra_info.update(record)
    # A task need not say when two answers agree.
    agreement, floor = record.get("agreement"), record.get("min_agreement")
    assert agreement is None or agreement >= floor, (
        f"only {agreement:.4f} of the answers are those of eager fp32, below {floor:.4f}"
    )
    score = score_of(record)
    problem = None if score is None else check_score(threshold, score)
    assert problem is None, problem
