"""A project whose conftest asks for the plugin, and a suite that forgets every check."""

ASKED_FOR = 'pytest_plugins = ["pruning_core.pytest_plugin"]\n'
# The entry point of an installation that is older than this checkout.
AS_ASKED_FOR = ("-p", "no:pruning_bench", "-p", "no:randomly", "-p", "no:cacheprovider")
FORGETFUL = """
import pytest
from pruning_core.pytest_plugin import record_samples


def test_latency(latency_cell, harness, benchmark):
    record_samples(benchmark, *reversed(harness.latency_record(latency_cell)))


def test_training(dense_variant, harness, benchmark):
    record_samples(benchmark, *reversed(harness.training_record(dense_variant)))


def test_without_the_fixture(latency_cell, harness):
    harness.latency_record(latency_cell)


@pytest.fixture
def timed(latency_cell, harness):
    return harness.latency_record(latency_cell)


def test_in_a_fixture(timed):
    raise AssertionError("not reached")
"""
