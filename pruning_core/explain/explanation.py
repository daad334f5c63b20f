"""The story: profile a network and its relatives, say why each layer is not faster, try what may help.

    dense, pruned, and pruned with all widths rounded up
      →  profiled in rounds  →  facts of each layer  →  a reason each  →  options, timed in pairs  →  JSON

Not here: which reason it is (`reasons.py`).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from pruning_core.backends import load_executable
from pruning_core.errors import PruningError
from pruning_core.explain.advice import MULTIPLES, Tried, advise
from pruning_core.explain.comparison import Measured, facts_of
from pruning_core.explain.content import content_of, time_by_reason
from pruning_core.explain.fixed_cost import measure_fixed_cost, without_overhead
from pruning_core.explain.groups import WidthGroup, rounded, width_groups, with_widths
from pruning_core.explain.layers import count_work
from pruning_core.explain.profile import ROUNDS, NetworkProfile, Profiler, profile_in_rounds
from pruning_core.explain.profilers import check_setting, open_profiler
from pruning_core.explain.reasons import reason_of
from pruning_core.explain.subject import Explained, check_pruned
from pruning_core.models.inputs import Inputs, random_like
from pruning_core.shapes.timing import Setting
from pruning_core.system.contention import ContentionMonitor, contention_reason
from pruning_core.system.hardware import resolve_threads, torch_threads
from pruning_core.system.roofline import measure_roofline
from pruning_core.system.thread_idle import wait_until_idle

Work = Callable[[str], AbstractContextManager[Callable[[int, int], object]]]
"""Shows some work, in words, while it lasts; gives what is called with the steps done and planned."""

DENSE, PRUNED, ONE_THREAD = "dense", "pruned", "one thread"


def explain(explained: Explained, setting: Setting, work: Work, rounds: int = ROUNDS) -> dict[str, Any]:
    """Say why a pruned network is not faster, in a setting; see `explain/README.md`.

    Args:
        explained: Dense and pruned.
        setting: Backend, precision, batch size, threads, device.
        work: Shows what is being done.
        rounds: Of the profile.

    Returns:
        What the JSON file holds.

    Raises:
        OptionError: If the setting is none that can be profiled.
        PruningError: If no width changed.
        BackendError: If the backend cannot run a network.
    """
    check_setting(setting)
    check_pruned(explained)
    example = explained.example
    groups = width_groups(explained.dense, explained.network, explained.plan, example)
    with torch_threads(resolve_threads(setting.threads)):
        measured = _measure(explained, groups, setting, work, rounds)
        facts = facts_of(measured, groups, setting)
        reasons = {name: reason_of(of_layer) for name, of_layer in facts.items()}
        with work(f"time options on {setting.label}") as advance:
            tried: Tried = advise(
                explained.dense,
                explained.network,
                groups,
                example,
                setting,
                time_by_reason(facts, reasons),
                advance=advance,
            )
    return content_of(explained, setting, groups, measured, facts, reasons, tried)


def _measure(
    explained: Explained, groups: Sequence[WidthGroup], setting: Setting, work: Work, rounds: int
) -> Measured:
    example = explained.example
    networks = _wider_networks(explained, groups)
    steps = 3 + len(networks)
    with work(f"make ready for {setting.label}") as advance:
        fixed = measure_fixed_cost(setting, wait_until_idle)
        profilers: dict[str, Profiler] = {}
        for name, network in {DENSE: explained.dense, PRUNED: explained.network, **networks}.items():
            profilers[name] = open_profiler(network, example, setting)
            advance(len(profilers), steps)
        if resolve_threads(setting.threads) > 1 and setting.device == "cpu":
            one = replace(setting, threads=1)
            profilers[ONE_THREAD] = open_profiler(explained.network, example, one)
        advance(steps, steps)
    with work(f"profile on {setting.label}") as advance, ContentionMonitor(setting.device) as monitor:

        def after_round(done: int, planned: int) -> None:
            monitor.sample()
            advance(done, planned)

        found = profile_in_rounds(profilers, rounds, wait_until_idle=wait_until_idle, advance=after_round)
    threads = resolve_threads(setting.threads)
    # Where a precision has none its arithmetic may be faster than that of fp32: bytes are then underrated.
    roofline = measure_roofline(setting.device, setting.precision, threads)
    profiles = {name: without_overhead(profile, fixed) for name, profile in found.items()}
    wider: dict[int, NetworkProfile] = {m: profiles[str(m)] for m in MULTIPLES if str(m) in profiles}
    return Measured(
        dense=profiles[DENSE],
        pruned=profiles[PRUNED],
        wider=wider,
        one_thread=profiles.get(ONE_THREAD),
        dense_work=count_work(explained.dense, example),
        work=count_work(explained.network, example),
        wider_work={multiple: count_work(networks[str(multiple)], example) for multiple in wider},
        fixed=fixed,
        roofline=roofline or measure_roofline(setting.device, "fp32", threads),
        launch_bound=_is_launch_bound(explained.network, example, setting),
        contention=contention_reason(monitor.contention),
    )


def _wider_networks(explained: Explained, groups: Sequence[WidthGroup]) -> dict[str, nn.Module]:
    """Return multiple → the network with all widths rounded up to it, where that is another network."""
    seen = [{group.root: group.kept for group in groups if not group.whole}]
    found = {}
    for multiple in MULTIPLES:
        widths = rounded(groups, multiple, up=True)
        if widths in seen:
            continue
        seen.append(widths)
        try:
            found[str(multiple)] = with_widths(explained.dense, groups, widths, explained.example)[0]
        except PruningError:  # a width that some group cannot have
            continue
    return found


def _is_launch_bound(network: nn.Module, example: Inputs, setting: Setting) -> bool:
    """Ask the clock of a device whether it waits for the host; a CPU has no such clock."""
    if setting.device == "cpu":
        return False
    executable = load_executable(
        setting.backend, network, example, setting.precision, setting.device, setting.threads
    )
    inputs = random_like(example, setting.batch_size, torch.Generator().manual_seed(0))
    times = executable.time_on_device(inputs)
    return times is not None and times.launch_bound
