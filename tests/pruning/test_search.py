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


def searched(monkeypatch: pytest.MonkeyPatch, n: int, sound: Rule) -> tuple[CutSearch, list[frozenset[str]]]:
    """Search among n groups; those names that `sound` accepts together can be cut. Return the trials, too."""
    trials: list[frozenset[str]] = []

    def try_cuts(network: nn.Module, example: torch.Tensor, cuts: Sequence[Cut]) -> Trial | Failure:
        names = frozenset(cut.roots[0] for cut in cuts)
        trials.append(names)
        return Trial(network, {}, Proof(True, (), 0.0)) if sound(names) else Failure("it does not run")

    monkeypatch.setattr(search, "try_cuts", try_cuts)
    groups = [group_of(f"layer{index}") for index in range(n)]
    found = CutSearch(nn.Identity(), torch.zeros(1), dict.fromkeys(groups, 8), 2)
    found.run()
    return found, trials


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
    bad = {"layer3", "layer17", "layer38"}
    found, trials = searched(monkeypatch, 40, lambda names: not names & bad)
    assert names_of(found.failed) == bad
    assert found.best is not None
    assert max((names for names in trials if not names & bad), key=len) == names_of(found.cuts) - bad
    assert len(trials) < 40


def test_groups_that_only_fail_together_are_cut_but_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two is sound alone: one of them goes, with all others, and the other stays whole."""
    found, _ = searched(monkeypatch, 20, lambda names: not {"layer2", "layer11"} <= names)
    assert names_of(found.failed) in ({"layer2"}, {"layer11"})
    assert found.best is not None


def test_the_search_ends_by_trials_and_names_what_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nearly all fail, no more than so many are tried; every group is cut or named, none is lost."""
    found, trials = searched(monkeypatch, 400, lambda names: names <= {"layer0", "layer399"})
    assert len(trials) <= MAX_TRIALS + 10
    cut = {"layer0"}
    assert names_of(found.failed) >= names_of(found.cuts) - cut - {"layer399"}
    assert any("not tried alone" in failure.reason for failure in found.failed.values())


def test_the_search_does_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut decides the content of a checkpoint, so that a busy machine must cut the same."""
    assert "time" not in vars(search)
    rule: Rule = lambda names: sum(int(name[5:]) % 7 == 0 for name in names) < 2  # noqa: E731
    first, trials = searched(monkeypatch, 60, rule)
    second, again = searched(monkeypatch, 60, rule)
    assert trials == again
    assert names_of(first.failed) == names_of(second.failed)
