"""Reasons from a recorded profile: constructed cases get theirs, and the same networks mended are fine."""

import dataclasses
from typing import Any

import pytest

from pruning_core.explain.comparison import Measured, facts_of, paired_ratio
from pruning_core.explain.fixed_cost import FixedCost
from pruning_core.explain.groups import WidthGroup
from pruning_core.explain.layers import LayerWork
from pruning_core.explain.profile import NetworkProfile, Node, Round
from pruning_core.explain.reasons import (
    CONVERSION,
    FINE,
    LAUNCH,
    MEMORY,
    MISALIGNED,
    REASONS,
    TOO_SMALL,
    WHOLE,
    LayerFacts,
    PairedRatio,
    reason_of,
    saved_quotient,
    speedup_reached,
)
from pruning_core.shapes.timing import Setting
from pruning_core.system.roofline import Roofline

WIGGLE = (0.0, 0.01, -0.01, 0.02, -0.02, 0.005, -0.005, 0.015, -0.015, 0.01)
"""Of the times of ten rounds: what a quiet machine has."""


def profile(**layers: float) -> NetworkProfile:
    """Record a profile of ten rounds: milliseconds of each layer; `conversion_NAME` stands before one."""
    rounds = []
    for wiggle in WIGGLE:
        nodes = tuple(
            Node(name, name.removeprefix("conversion_"), kind, ms * (1 + wiggle))
            for name, ms in layers.items()
            for kind in (["conversion"] if name.startswith("conversion_") else ["layer"])
        )
        whole = sum(node.ms for node in nodes)
        rounds.append(Round(whole, whole, nodes))
    return NetworkProfile(tuple(rounds))


def work(macs: int, activations: int = 1000, weights: int = 1000) -> dict[str, LayerWork]:
    """Return what the layer in question does, beside another one that does as much as it."""
    return {"layer": LayerWork(macs, activations, weights), "other": LayerWork(10**6, 1000, 1000)}


def measured(**changes: Any) -> Measured:
    """Return a recorded measurement in which a layer of a quarter of the work takes a quarter of the time."""
    return dataclasses.replace(
        Measured(
            dense=profile(layer=4.0, other=4.0),
            pruned=profile(layer=1.0, other=1.0),
            wider={},
            one_thread=None,
            dense_work=work(4 * 10**6),
            work=work(10**6),
            wider_work={},
            fixed=FixedCost(0.001, 0.0),
            roofline=Roofline(peak_flops_per_s=1e11, bandwidth_bytes_per_s=1e10),
        ),
        **changes,
    )


def found(given: Measured, whole: str = "") -> str:
    """Return the reason of the layer in question."""
    groups = [WidthGroup("layer", ("layer",), 64, 64 if whole else 31, 1, whole)]
    return reason_of(facts_of(given, groups, Setting("openvino", "fp32", 1))["layer"]).word


SLOW = profile(layer=3.0, other=1.0)
"""The layer takes three quarters of its dense time, for a quarter of its work."""
LARGE = work(10**6, activations=5 * 10**6)
"""Moves 20 MB: two milliseconds at the recorded bandwidth."""

CASES = {
    "width 31 against 32": (
        measured(wider={32: profile(layer=0.7, other=1.0)}, wider_work={32: work(1_066_000)}),
        "",
        MISALIGNED,
    ),
    "width 32": (measured(), "", FINE),
    "3 channels at large resolution": (measured(pruned=SLOW, work=LARGE), "", MEMORY),
    "48 channels at a quarter of it": (measured(work=work(10**6, activations=300_000)), "", FINE),
    "a tiny network at batch 1": (
        measured(
            dense=profile(layer=0.012, other=0.01),
            pruned=profile(layer=0.01, other=0.01),
            fixed=FixedCost(0.005, 0.0),
        ),
        "",
        LAUNCH,
    ),
    "the same at batch 512": (measured(fixed=FixedCost(0.005, 0.0)), "", FINE),
    "a skipped group": (
        measured(pruned=profile(layer=2.0, other=1.0), work=work(2 * 10**6)),
        "protected by 'layer'",
        WHOLE,
    ),
    "the group cut": (measured(), "", FINE),
    "depthwise on int8": (
        measured(
            dense=profile(layer=2.0, other=8.0),
            pruned=profile(layer=1.0, other=2.0),
            dense_work=work(100_000, activations=5 * 10**6),
            work=work(50_000, activations=25 * 10**5),
        ),
        "",
        MEMORY,
    ),
    "a dense layer on int8": (measured(work=work(10**6, activations=25 * 10**5)), "", FINE),
    "more arithmetic than bytes": (
        measured(pruned=SLOW, dense_work=work(4 * 10**9), work=work(10**9, 10**6)),
        "",
        "",
    ),
    "a layout conversion between two layers": (
        measured(pruned=profile(conversion_layer=0.5, layer=1.0, other=1.0)),
        "",
        CONVERSION,
    ),
    "no conversion": (measured(pruned=profile(conversion_layer=0.05, layer=1.0, other=1.0)), "", FINE),
    "as fast on one thread": (
        measured(pruned=SLOW, one_thread=profile(layer=3.1, other=2.0)),
        "",
        TOO_SMALL,
    ),
    "twice as slow on one thread": (measured(pruned=SLOW, one_thread=profile(layer=5.9, other=2.0)), "", ""),
    "channels are padded": (
        measured(pruned=SLOW, wider={8: profile(layer=3.0, other=1.0)}, wider_work={8: work(2 * 10**6)}),
        "",
        MISALIGNED,
    ),
    "wider costs as much as it does": (
        measured(wider={8: profile(layer=2.0, other=1.0)}, wider_work={8: work(2 * 10**6)}),
        "",
        FINE,
    ),
    "slow, and no test says why": (measured(pruned=SLOW), "", ""),
}


@pytest.mark.parametrize(("given", "whole", "expected"), CASES.values(), ids=CASES.keys())
def test_each_constructed_case_gets_its_reason(given: Measured, whole: str, expected: str) -> None:
    """A reason is said where its test holds, and no other; a mended network is fine."""
    assert found(given, whole) == expected


def test_all_words_of_the_list_are_said() -> None:
    """The cases say each reason of a layer once at least."""
    assert {expected for _, _, expected in CASES.values()} - {""} == {*REASONS} - {"not this layer"}


def test_a_wider_layer_whose_interval_includes_no_gain_is_no_reason() -> None:
    """A gain that rounds disagree on is not said."""
    rounds = profile(layer=1.0, other=1.0).rounds
    shaky = NetworkProfile(
        tuple(
            dataclasses.replace(one, nodes=(Node("layer", "layer", "layer", ms),))
            for one, ms in zip(rounds, (0.5, 1.4, 0.5, 1.4, 0.5, 1.4, 0.5, 0.5, 1.4, 0.5), strict=True)
        )
    )
    assert found(measured(wider={8: shaky}, wider_work={8: work(1_066_000)})) == FINE


def test_a_layer_that_did_not_become_wider_says_nothing_of_widths() -> None:
    """What is quicker without doing more is noise, or another layer's doing."""
    given = measured(wider={8: profile(layer=0.5, other=1.0)}, wider_work={8: work(10**6)})
    assert found(given) == FINE


def test_a_device_that_waits_for_its_host_makes_every_layer_launch_bound() -> None:
    """On a GPU its own clock decides."""
    assert found(measured(launch_bound=True)) == LAUNCH


def test_a_layer_that_takes_hardly_any_time_explains_nothing() -> None:
    """Below one percent of the call a layer is fine, however slow it is."""
    facts = LayerFacts(ms=0.1, dense_ms=0.1, macs=1, dense_macs=100, time_share=0.001, mac_share=0.0)
    assert reason_of(facts).word == FINE


def test_quotients_are_of_the_dense_layer() -> None:
    """Half of the time for a quarter of the work: two thirds of what was to be saved, half the speed-up."""
    facts = LayerFacts(ms=2.0, dense_ms=4.0, macs=1, dense_macs=4, time_share=1.0, mac_share=1.0)
    assert saved_quotient(facts) == pytest.approx(2 / 3)
    assert speedup_reached(facts) == pytest.approx(0.5)
    uncut = dataclasses.replace(facts, macs=4)
    assert saved_quotient(uncut) is None
    assert speedup_reached(uncut) is None


def test_ratios_are_taken_round_by_round() -> None:
    """Drift that both networks meet cancels; a time of zero gives no ratio."""
    now = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert paired_ratio([0.5 * ms for ms in now], now) == PairedRatio(*[pytest.approx(0.5)] * 3)
    assert paired_ratio([0.0, 1.0], [1.0, 1.0]) is None
