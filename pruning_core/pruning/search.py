"""Cut what can be cut: groups are tried together, by kinds, by halves; those that fail stay whole, by name.

What fails alone may work with others, or with fewer channels: that is tried too.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import gcd, lcm

from torch import nn

from pruning_core.models.inputs import Inputs
from pruning_core.pruning.choice import Wanted, cut_to
from pruning_core.pruning.groups import Group
from pruning_core.pruning.trial import Failure, Trial, try_cuts

MAX_TRIALS = 100
"""After so many nothing more is tried; what works so far is cut. Not a time: a busy machine cuts the same."""

MAX_PAIRED = 6
"""Groups that fail alone are tried in pairs, up to so many of them: some can only be cut together."""


MIN_OF_A_KIND = 4
"""Groups of one kind in several blocks are tried together, then two of them alone, from so many on."""

NOT_TRIED = Failure(f"it was not tried: {MAX_TRIALS} trials of other groups are enough")


class CutSearch:
    """Looks for the groups of a network that can be cut and proved, all together."""

    def __init__(self, network: nn.Module, example: Inputs, wanted: Wanted, round_to: int) -> None:
        """Prepare.

        Args:
            network: All its parameters require gradients; it stays as it is.
            example: What the network takes, of one example.
            wanted: Group → channels that are to stay, before rounding.
            round_to: A multiple of this stays.
        """
        self._network = network
        self._example = example
        self.wanted = wanted
        self._round_to = round_to
        self._trials = 0
        cuts = {group: cut_to(group, width, round_to) for group, width in wanted.items()}
        self.cuts = {group: cut for group, cut in cuts.items() if cut is not None}
        self.failed: dict[Group, Failure] = {}
        self.best: Trial | None = None
        self._settled: set[Group] = set()  # by what others of their kind do

    def run(self) -> None:
        """Find `best`, the network cut, None if no group can be; and `failed`, groups that stay whole."""
        if not self.cuts:
            return
        at_once = self._attempt(list(self.cuts))
        if isinstance(at_once, Failure):
            at_once = self._attempt_coarsely() or at_once
        if isinstance(at_once, Trial):
            self.best = at_once
            return
        left = self._find_failing_kinds(list(self.cuts))
        result = at_once if len(left) == len(self.cuts) else self._attempt(left) if left else None
        if isinstance(result, Failure):
            self._find_failing(left, result)
        good = [group for group in self.cuts if group not in self.failed]
        together = self._attempt(good) if good else None
        if isinstance(together, Failure):
            # Each alone was sound: keep those that are sound together.
            candidates, good = good, []
            self._add_halves(candidates, good)
        else:
            self.best = together
        self._recut_coarsely(good)
        self._recut_less(good)
        alone = [group for group in self.failed if group not in self._settled]
        for pair in combinations(alone[:MAX_PAIRED], 2):
            if all(group in self.failed for group in pair):
                self._add(list(pair), good)

    @property
    def _ended(self) -> bool:
        return self._trials >= MAX_TRIALS

    def _attempt(self, groups: Sequence[Group]) -> Trial | Failure:
        self._trials += 1
        return try_cuts(self._network, self._example, [self.cuts[group] for group in groups])

    def _find_failing_kinds(self, groups: Sequence[Group]) -> list[Group]:
        """Name groups that fail as others of their kind do; return those that must be looked at one by one.

        A deep network repeats its blocks: where two of many fail alone, and all of them together, so would
        the others. That some might not is the price: what could be cut stays whole, never the reverse.
        """
        left: list[Group] = []
        for members in _by_kind(groups):
            if len(members) < MIN_OF_A_KIND or self._ended:
                left += members
            elif isinstance(self._attempt(members), Failure):
                first, second, *others = members
                tried = (self._attempt([first]), self._attempt([second]))
                if isinstance(tried[0], Failure) and isinstance(tried[1], Failure):
                    alike = Failure(f"as {first.roots[0]}, of its kind: {tried[0].reason}", tried[0].emptied)
                    self.failed |= {first: tried[0], second: tried[1], **dict.fromkeys(others, alike)}
                    self._settled.update(members)
                else:
                    left += members
        return left

    def _find_failing(self, groups: Sequence[Group], failure: Failure) -> None:
        if len(groups) > 1 and self._ended:
            failure = Failure(f"it was not tried alone, only with others: {failure.reason}")
        if len(groups) == 1 or self._ended:
            self.failed |= dict.fromkeys(groups, failure)
            return
        half = len(groups) // 2
        for some in (groups[:half], groups[half:]):
            result = self._attempt(some)
            if isinstance(result, Failure):
                self._find_failing(some, result)

    def _add_halves(self, groups: list[Group], good: list[Group]) -> None:
        """Add as many groups as can be to those that are cut."""
        half = len(groups) // 2
        for some in filter(None, (groups[:half], groups[half:])):
            self._add(some, good)
            if len(some) > 1 and some[0] not in good:
                self._add_halves(some, good)

    def _add(self, groups: list[Group], good: list[Group]) -> None:
        """Add groups to those that are cut, if all can be."""
        if self._ended:
            for group in groups:
                self.failed.setdefault(group, NOT_TRIED)
            return
        result = self._attempt([*good, *groups])
        if isinstance(result, Trial):
            self.best = result
            good += groups
            for group in groups:
                self.failed.pop(group, None)
        elif len(groups) == 1:
            self.failed[groups[0]] = result

    def _attempt_coarsely(self) -> Trial | None:
        """Cut what feeds attentions to multiples of their heads: some divide the width they get by these.

        Then also what is as wide as these, or several times: its width may be theirs by a number alone.
        """
        fine = dict(self.cuts)
        own = {group: group.heads for group in fine}
        by_width = _multiples_by_width(list(fine), self._round_to)
        for multiples in (own, by_width):
            if all(lcm(self._round_to, g.blocks) % multiple == 0 for g, multiple in multiples.items()):
                continue
            cuts = {g: cut_to(g, self.wanted[g], self._round_to, multiples[g]) for g in fine}
            self.cuts = {group: cut for group, cut in cuts.items() if cut is not None}
            result = self._attempt(list(self.cuts)) if self.cuts else None
            if isinstance(result, Trial):
                return result
        self.cuts = fine
        return None

    def _recut_coarsely(self, good: list[Group]) -> None:
        """Cut what failed to multiples of the heads, all of it together."""
        coarse = {}
        for group in self.failed:
            cut = cut_to(group, self.wanted[group], self._round_to, group.heads)
            if group.heads > 1 and cut is not None:
                coarse[group] = cut
        if coarse:
            fine = dict(self.cuts)
            self.cuts |= coarse
            self._add(list(coarse), good)
            if any(group in self.failed for group in coarse):
                self.cuts = fine

    def _recut_less(self, good: list[Group]) -> None:
        """Cut fewer channels of groups in which a layer would lose all, as many as can go."""
        for group in [group for group, failure in self.failed.items() if failure.emptied]:
            fails, works, sound = self.wanted[group], group.channels, None  # of channels that stay
            while works - fails > 1 and not self._ended:
                middle = (fails + works) // 2
                cut = cut_to(group, middle, self._round_to)
                if cut is None:
                    break
                self.cuts[group] = cut
                result = self._attempt([*good, group])
                if isinstance(result, Trial):
                    self.best, works, sound = result, middle, cut
                else:
                    fails = middle
            if sound is not None:
                self.cuts[group] = sound
                good.append(group)
                del self.failed[group]


def _multiples_by_width(groups: Iterable[Group], round_to: int) -> dict[Group, int]:
    """Return for each group a multiple in step with those of the attentions that its width is a multiple of.

    Keys and values made by one layer are twice as wide as what is attended to: they keep twice its multiple.
    """
    of_width: dict[int, int] = {}
    for group in groups:
        if group.heads > 1:
            width = group.dense_channels
            of_width[width] = lcm(of_width.get(width, round_to), group.heads)
    found = {}
    for group in groups:
        width, parts = group.dense_channels, group.blocks // gcd(group.blocks, group.heads)
        in_step = (width // other * multiple for other, multiple in of_width.items() if width % other == 0)
        found[group] = lcm(parts * lcm(round_to, group.heads) if parts > 1 else 1, *in_step)
    return found


def _by_kind(groups: Sequence[Group]) -> list[list[Group]]:
    """Sort groups by what their layers are called, but for numbers, and by how wide they are."""
    kinds: dict[tuple[object, ...], list[Group]] = {}
    for group in groups:
        name = re.sub(r"[0-9]+", "#", group.roots[0])
        kind = (name, group.channels, group.dense_channels, group.blocks, group.heads, len(group.layers))
        kinds.setdefault(kind, []).append(group)
    return list(kinds.values())
