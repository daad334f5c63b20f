"""How fast this machine trains: our step in pairs with a tutorial's loop. The time is one step."""

from pruning_core.pytest_plugin import record_samples, skip_unless_timing


def test_training(dense_variant, harness, benchmark):
    """Whole steps, data included, are timed on the same images. How fast they must be is for the gate."""
    skip_unless_timing(benchmark)
    record, samples_s = harness.training_record(dense_variant)
    record_samples(benchmark, samples_s, record)
    assert record["data_share"] < 1, "a step is more than fetching its images"
