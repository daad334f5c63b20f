"""Allocations: pure numbers, against every possibility tried."""

import itertools
import math
import random

import pytest

from pruning_core.errors import PruningError
from pruning_core.shapes.allocation import (
    MAX_WIDTHS,
    Choices,
    allocate_widths,
    losses_of,
    possible_widths,
    solve_knapsack,
)


class Product:
    """Time of a chain of layers: each takes the product of its neighbours' widths."""

    def __init__(self, layers, base=1.0):
        self.layers, self.base = layers, base  # (time of a pair of channels, group, group or None)

    def time_ms(self, widths):
        """Return the base, and what each layer takes."""
        return self.base + sum(
            each * widths[a] * (1 if b is None else widths[b]) for each, a, b in self.layers
        )

    def times_ms(self, widths, group, options):
        """Return the times with one group changed."""
        return [self.time_ms([*widths[:group], width, *widths[group + 1 :]]) for width in options]


def loss_of_the_best(losses, costs, budget):
    """Try every choice, and return the least loss within the budget."""
    found = [
        sum(of[option] for of, option in zip(losses, chosen, strict=True))
        for chosen in itertools.product(*(range(len(of)) for of in losses))
        if sum(of[option] for of, option in zip(costs, chosen, strict=True)) <= budget
    ]
    return min(found, default=None)


def test_a_knapsack_is_the_best_of_all_choices():
    """Of 200 small instances with whole costs each is solved as well as by trying everything."""
    draw = random.Random(0)
    unsolvable = 0
    for _ in range(200):
        shape = [draw.randint(1, 4) for _ in range(draw.randint(1, 4))]
        losses = [[draw.random() for _ in range(n)] for n in shape]
        costs = [[draw.randint(0, 9) for _ in range(n)] for n in shape]
        budget = draw.randint(0, 20)
        best, found = loss_of_the_best(losses, costs, budget), solve_knapsack(losses, costs, budget, budget)
        if best is None:
            assert found is None
            unsolvable += 1
            continue
        assert sum(of[option] for of, option in zip(losses, found, strict=True)) == pytest.approx(best)
        assert sum(of[option] for of, option in zip(costs, found, strict=True)) <= budget
    assert 0 < unsolvable < 100


def test_what_a_knapsack_chooses_is_within_the_budget_with_any_costs():
    """Costs are rounded up to its units, never down."""
    draw = random.Random(1)
    for _ in range(100):
        costs = [[draw.random() for _ in range(5)] + [0.0] for _ in range(6)]
        losses = [[draw.random() for _ in range(5)] + [1.0] for _ in range(6)]
        found = solve_knapsack(losses, costs, 1.0, 50)
        assert sum(of[option] for of, option in zip(costs, found, strict=True)) <= 1.0


def choices_of(scores, weight=1.0, unit=1):
    """Return what a group of such channels may keep."""
    widths = tuple(range(unit, len(scores) + 1, unit))
    return Choices(widths, tuple(losses_of(scores, [1] * len(scores), widths, weight)))


def test_the_budget_is_met_and_used():
    """The widths take no more time than they may, and widening one by a step would take more."""
    choices = [choices_of([1.0] * 16), choices_of([1.0] * 32), choices_of([1.0] * 8)]
    times = Product([(0.1, 0, None), (0.02, 0, 1), (0.05, 1, 2), (0.3, 2, None)])
    dense = [16, 32, 8]
    for share in (0.8, 0.5, 0.25, 0.15):
        budget = share * times.time_ms(dense)
        widths = allocate_widths(choices, times, budget)
        assert 0.8 * budget < times.time_ms(widths) <= budget


def test_it_loses_hardly_more_than_the_best_widths():
    """On small networks whose groups meet in layers, against every choice of widths."""
    draw = random.Random(0)
    worse = []
    for _ in range(20):
        dense = [draw.choice([6, 8, 10]) for _ in range(3)]
        choices = [choices_of([draw.random() ** 2 + 0.05 for _ in range(width)]) for width in dense]
        pairs = [(0, None), (0, 1), (1, 2), (0, 2)]
        times = Product([(draw.random() / (1 if b is None else 4), a, b) for a, b in pairs], 0.5)
        budget = draw.choice([0.5, 0.3]) * times.time_ms(dense)

        def loss(widths, choices=choices):
            return sum(of.losses[width - 1] for of, width in zip(choices, widths, strict=True))

        every = itertools.product(*(range(1, width + 1) for width in dense))
        best = min(loss(widths) for widths in every if times.time_ms(widths) <= budget)
        worse.append(loss(allocate_widths(choices, times, budget)) / best)
    assert min(worse) >= 1 - 1e-9
    assert sorted(worse)[10] < 1.06
    assert max(worse) < 1.35


def test_the_group_that_is_slow_for_its_importance_goes():
    """The slower of two groups loses more, and so does the one of few important channels."""
    choices = [choices_of([1.0] * 16), choices_of([1.0] * 16)]
    slow, fast = allocate_widths(choices, Product([(1.0, 0, None), (0.1, 1, None)]), 10.0)
    assert slow < 8 <= 15 <= fast
    skewed = [choices_of([1.0] * 16), choices_of([100.0] * 4 + [0.01] * 12)]
    flat, steep = allocate_widths(skewed, Product([(1.0, 0, None), (1.0, 1, None)]), 20.0)
    assert steep <= 5 < flat


def test_groups_that_meet_in_one_layer_are_narrowed_alike():
    """Neither of two equal groups becomes a bottleneck, though narrowing either saves the same."""
    choices = [choices_of([1.0] * 32), choices_of([1.0] * 32)]
    widths = allocate_widths(choices, Product([(1.0, 0, 1)]), 1 + 32 * 32 / 16)
    assert max(widths) <= 1.5 * min(widths)


def test_less_time_never_widens_a_group():
    """Along a chain each allocation begins with the one before."""
    choices = [choices_of([1.0 + n % 3 for n in range(24)]), choices_of([1.0] * 16)]
    times = Product([(0.1, 0, 1), (0.5, 1, None)])
    widths = [24, 16]
    for share in (0.9, 0.6, 0.3, 0.2):
        narrower = allocate_widths(choices, times, share * times.time_ms([24, 16]), widths)
        assert all(a <= b for a, b in zip(narrower, widths, strict=True))
        assert narrower != tuple(widths)
        widths = narrower


def test_a_time_that_no_widths_take_is_one_line():
    """It says what was asked for, and the time of the narrowest."""
    with pytest.raises(PruningError, match=r"no widths take 0\.5 ms: the narrowest take 2 ms"):
        allocate_widths([choices_of([1.0] * 4)], Product([(1.0, 0, None)]), 0.5)


def test_a_group_that_takes_no_time_is_left_alone():
    """Nothing is bought by narrowing it."""
    choices = [choices_of([1.0] * 16), choices_of([1.0] * 16)]
    assert allocate_widths(choices, Product([(1.0, 0, None)]), 9.0)[1] == 16


class TestLosses:
    """What a group loses: the same scale for every group."""

    def test_it_does_not_follow_width_or_scale(self):
        """Half of 8 flat channels is half of 512, whatever the size of the weights."""
        narrow = losses_of([3.0] * 8, [1] * 8, [2, 4, 8], 1.0)
        wide = losses_of([0.1] * 512, [1] * 512, [128, 256, 512], 1.0)
        assert narrow == pytest.approx(wide)

    def test_the_last_channels_cost_most(self):
        """It rises ever faster as a group becomes narrow, and is 0 at its dense width."""
        losses = losses_of([1.0] * 16, [1] * 16, range(1, 17), 1.0)
        steps = [a - b for a, b in itertools.pairwise(losses)]
        assert losses[-1] == 0
        assert steps == sorted(steps, reverse=True)

    def test_the_lowest_go_first(self):
        """A channel of no norm costs nothing."""
        assert losses_of([5.0, 0.0, 5.0, 0.0], [1] * 4, [2, 4], 1.0) == pytest.approx([0.0, 0.0])

    def test_a_group_of_zeros_is_flat(self):
        """Where all weights are 0 no channel is better than another."""
        assert losses_of([0.0] * 4, [1] * 4, [2, 4], 1.0) == losses_of([1.0] * 4, [1] * 4, [2, 4], 1.0)
        assert all(math.isfinite(x) for x in losses_of([0.0, 0.0, 1.0], [1] * 3, [1, 2, 3], 1.0))

    def test_bound_channels_go_together(self):
        """Of sets of two as many go as fit."""
        assert losses_of([1.0] * 4, [2] * 4, [4, 5, 8], 1.0)[1] == losses_of([1.0] * 4, [2] * 4, [6], 1.0)[0]


@pytest.mark.parametrize(
    ("dense", "unit"), [(64, 2), (64, 8), (64, 16), (10, 2), (6, 3), (7, 2), (5, 8), (1, 1)]
)
def test_possible_widths_are_aligned(dense, unit):
    """Multiples of what a group keeps, from 8 on of 8 too, rising, the dense width last."""
    widths = possible_widths(dense, unit)
    assert widths[-1] == dense
    assert list(widths) == sorted(set(widths))
    assert all(width % unit == 0 and (width < 8 or width % 8 == 0) for width in widths[:-1])
    assert dense <= unit or widths[0] == unit


@pytest.mark.parametrize("dense", [4096, 100_000])
def test_wide_groups_have_few_widths(dense):
    """As many as narrow ones, in wider steps."""
    assert len(possible_widths(dense, 2)) <= 2 * MAX_WIDTHS + 1
    assert possible_widths(dense, 2)[0] == 2
