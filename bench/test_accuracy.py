"""What accuracy is left, on every backend and precision. The time is that of the whole test split."""

import pytest


def test_accuracy(accuracy_cell, harness, thresholds, benchmark):
    """Accuracy stays above its floor, and no further below dense than bench/thresholds.toml allows."""
    threshold = thresholds.find(accuracy_cell.variant, accuracy_cell.backend, accuracy_cell.precision)
    if harness.models.checkpoint(accuracy_cell.variant).metrics.exhausted:
        pytest.skip("exhausted: this step removed nothing that the one before had not")
    benchmark.pedantic(harness.models.evaluate, args=(accuracy_cell,), rounds=1)
    record = harness.accuracy_record(accuracy_cell, threshold)
    benchmark.extra_info.update(record)
    agreement, floor = record["agreement"], record["min_agreement"]
    assert agreement >= floor, (
        f"only {agreement:.4f} of the answers are those of eager fp32, below {floor:.4f}"
    )
    if threshold is not None:
        accuracy, drop = record["accuracy"], record["accuracy_drop"]
        assert accuracy >= threshold.min_accuracy, (
            f"accuracy {accuracy:.4f} is below its floor {threshold.min_accuracy:.4f}"
        )
        assert drop <= threshold.max_accuracy_drop, (
            f"accuracy is {drop:.4f} below dense, more than the allowed {threshold.max_accuracy_drop:.4f}"
        )
