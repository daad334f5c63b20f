"""What a pruned network costs: MACs, parameters, bytes. The time is that of the pruning itself."""


def test_cost(variant, harness, benchmark):
    """Pruning never makes a network larger, and asks for no more channels than there are."""
    start, prune = harness.pruning_step(variant)
    record = harness.cost_record(variant)
    benchmark.extra_info.update(record)
    benchmark.pedantic(prune, setup=lambda: ((start(),), {}), rounds=3)
    assert 0 <= record["achieved_ratio"] < 1, "every layer keeps at least one channel"
    for layer, width in record["widths"].items():
        assert width <= record["dense_widths"][layer], f"{layer} is wider than in the dense model"
