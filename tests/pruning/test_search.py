"""The search for groups that can be cut together, over trials that are stood in for."""

from collections.abc import Callable, Iterable, Sequence

import pytest
import torch
from torch import nn

from pruning_core.pruning import search
from pruning_core.pruning.cutting import Cut
from pruning_core.pruning.groups import Group
from pruning_core.pruning.proof import Proof
from pruning_core.pruning.search import MAX_TRIALS, CutSearch
from pruning_core.pruning.trial import Failure, Trial

Rule = Callable[[frozenset[str]], bool]


def searched(
    monkeypatch: pytest.MonkeyPatch, names: Iterable[str], sound: Rule
) -> tuple[CutSearch, list[frozenset[str]]]:
    """Search among groups; names that `sound` accepts together can be cut. Return the trials, too."""
    trials: list[frozenset[str]] = []

    def try_cuts(network: nn.Module, example: torch.Tensor, cuts: Sequence[Cut]) -> Trial | Failure:
        trials.append(frozenset(cut.roots[0] for cut in cuts))
        if sound(trials[-1]):
            return Trial(network, {}, Proof(True, (), 0.0))
        return Failure("it does not run")

    monkeypatch.setattr(search, "try_cuts", try_cuts)
    groups = [group_of(name) for name in names]
    found = CutSearch(nn.Identity(), torch.zeros(1), dict.fromkeys(groups, 8), 2)
    found.run()
    return found, trials


def different(n: int) -> list[str]:
    """Return names of layers that are no blocks of one kind."""
    return ["layer" + "x" * index for index in range(n)]


def group_of(name: str) -> Group:
    """Return a group of sixteen channels, any of which can go."""
    return Group(
        roots=(name,),
        layers=(name,),
        outputs=frozenset([name]),
        inputs=frozenset(),
        ignored=frozenset(),
        channels=16,
        dense_channels=16,
        blocks=1,
        heads=1,
        orbits=[[channel] for channel in range(16)],
        scores=torch.arange(16, dtype=torch.float64),
    )


def names_of(groups: Iterable[Group]) -> set[str]:
    """Return the names of groups."""
    return {group.roots[0] for group in groups}


def test_what_fails_alone_stays_whole_and_all_else_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of forty groups the three that cannot be cut are found, in far fewer trials than one each."""
    names = different(40)
    bad = {names[3], names[17], names[38]}
    found, trials = searched(monkeypatch, names, lambda tried: not tried & bad)
    assert names_of(found.failed) == bad
    assert found.best is not None
    assert max((tried for tried in trials if not tried & bad), key=len) == set(names) - bad
    assert len(trials) < 40


def test_groups_that_only_fail_together_are_cut_but_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two is sound alone: one of them goes, with all others, and the other stays whole."""
    names = different(20)
    found, _ = searched(monkeypatch, names, lambda tried: not {names[2], names[11]} <= tried)
    assert names_of(found.failed) in ({names[2]}, {names[11]})
    assert found.best is not None


def test_the_search_ends_by_trials_and_names_what_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nearly all fail, no more than so many are tried; every group is cut or named, none is lost."""
    names = different(400)
    found, trials = searched(monkeypatch, names, lambda tried: tried <= {names[0], names[399]})
    assert len(trials) <= MAX_TRIALS + 10
    assert names_of(found.failed) >= set(names) - {names[0], names[399]}
    assert any("not tried alone" in failure.reason for failure in found.failed.values())


def test_the_search_does_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut decides the content of a checkpoint, so that a busy machine must cut the same."""
    assert "time" not in vars(search)
    names = different(60)
    some = {*names[::7]}
    first, trials = searched(monkeypatch, names, lambda tried: len(tried & some) < 2)
    second, again = searched(monkeypatch, names, lambda tried: len(tried & some) < 2)
    assert trials == again
    assert names_of(first.failed) == names_of(second.failed)


BLOCKS = [f"stage{stage}.block{block}.{layer}" for stage in range(4) for block in range(6) for layer in "abc"]


def test_blocks_of_one_kind_are_not_tried_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two of a kind fail alone and all of it together, the others are named after the first."""
    bad = {name for name in BLOCKS if name.endswith("b")}
    found, trials = searched(monkeypatch, BLOCKS, lambda tried: not tried & bad)
    assert names_of(found.failed) == bad
    assert found.best is not None
    assert len(trials) < 12
    reasons = {failure.reason for failure in found.failed.values()}
    assert reasons == {"it does not run", "as stage0.block0.b, of its kind: it does not run"}


@pytest.mark.parametrize("bad", [BLOCKS[:1], BLOCKS[3:4], [BLOCKS[6], BLOCKS[40]]])
def test_one_that_differs_from_its_kind_is_found(monkeypatch: pytest.MonkeyPatch, bad: list[str]) -> None:
    """Where one of the first two can be cut, each of the kind is looked at."""
    found, _ = searched(monkeypatch, BLOCKS, lambda tried: not tried & {*bad})
    assert names_of(found.failed) == {*bad}
