"""The profile of eager PyTorch: the time of each module by hooks, its copies by torch's own profiler.

A hook before and one behind each module read a clock; what a module's children took is not its own. So the
times of all modules add up to the call, functions that are no modules among them. The copies that a forward
makes between layers are found once by torch's profiler, and taken out of the module that made them.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from pruning_core.backends.eager import TorchExecutable, copy_to
from pruning_core.config.precision import PRECISIONS
from pruning_core.console.native_stderr import without_native_stderr
from pruning_core.explain.layers import layers_of
from pruning_core.explain.profile import Kind, Node, ProfiledCall, Profiler
from pruning_core.models.inputs import Inputs
from pruning_core.models.memory_format import choose_memory_format, lay_out
from pruning_core.system.hardware import set_torch_threads

COPIES = frozenset(("aten::copy_", "aten::clone", "aten::contiguous", "aten::_to_copy", "aten::to"))
"""What lays numbers out again, in the words of torch's profiler."""

TRACED_CALLS = 4
"""Calls in which copies are looked for; the first one is not counted."""

SCOPE = "layer of "


class EagerProfiler(Profiler):
    """A network in eager PyTorch: one copy as it is, one with hooks."""

    def __init__(
        self, network: nn.Module, example: Inputs, precision: str, device: str, threads: int
    ) -> None:
        """Make both copies ready.

        Args:
            network: In float32 on the CPU; it stays as it is.
            example: What it takes, as many examples as one call has.
            precision: One that the backend `eager` has.
            device: `cpu`, or `cuda:0`.
            threads: CPU threads to use.
        """
        set_torch_threads(threads)
        dtype = PRECISIONS[precision].dtype
        layout = choose_memory_format(
            network, example, torch.channels_last, torch.device(device), dtype=dtype
        )

        def executable() -> tuple[nn.Module, TorchExecutable]:
            copied = copy_to(network, precision=precision, device=device)
            lay_out(copied, layout)
            return copied, TorchExecutable(copied, dtype=dtype, device=device, layout=layout)

        _, plain = executable()
        hooked, profiled = executable()
        self._threads = threads
        self._plain = plain.bind(example)
        self._run = profiled.bind(example)
        self._cuda = device.startswith("cuda")
        self._kinds: dict[str, Kind] = dict.fromkeys(layers_of(hooked), "layer")
        self._copies = _find_copies(hooked, self._run, self._kinds) if not self._cuda else {}
        self._calls: list[ProfiledCall] = []
        self._done: list[tuple[str, Any, Any]] = []  # module, before, behind
        for name, module in hooked.named_modules():
            module.register_forward_pre_hook(self._before(name))
            module.register_forward_hook(self._behind(name))
        self._open: list[Any] = []

    def call(self) -> object:
        """Run the network as it is."""
        self._use_threads()
        return self._plain()

    def call_profiled(self) -> object:
        """Run the network with hooks."""
        self._done.clear()
        self._use_threads()
        started = time.perf_counter()
        result = self._run()
        ms = 1e3 * (time.perf_counter() - started)
        self._calls.append(ProfiledCall(ms, self._nodes()))
        return result

    def finish(self) -> Sequence[ProfiledCall]:
        """Return the profiles of all calls."""
        return self._calls

    def _use_threads(self) -> None:
        if torch.get_num_threads() != self._threads:  # another network of these rounds has another number
            set_torch_threads(self._threads)

    def _stamp(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _before(self, name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self._open.append(self._stamp())

        return hook

    def _behind(self, name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self._done.append((name, self._open.pop(), self._stamp()))

        return hook

    def _nodes(self) -> tuple[Node, ...]:
        """Return the own time of each module: children end before the module that holds them."""
        own: dict[str, float] = {}
        inner: list[tuple[str, float]] = []  # modules that ended, whose parents have not
        for name, begin, end in self._done:
            took = begin.elapsed_time(end) if self._cuda else 1e3 * (end - begin)
            prefix = f"{name}." if name else ""
            children = 0.0
            while inner and inner[-1][0].startswith(prefix) and inner[-1][0] != name:
                children += inner.pop()[1]
            inner.append((name, took))
            own[name] = own.get(name, 0.0) + took - children
        nodes = []
        for (name, layer), share in self._copies.items():
            ms = share * own.get(name, 0.0)
            own[name] = own.get(name, 0.0) - ms
            nodes.append(Node(f"{name or 'forward'}: copies", layer, "conversion", ms))
        for name, ms in own.items():
            kind = self._kinds.get(name, "other")
            nodes.append(Node(name or "forward", name if kind == "layer" else "", kind, ms))
        return tuple(nodes)


def _find_copies(
    network: nn.Module, run: Callable[[], object], layers: dict[str, Kind]
) -> dict[tuple[str, str], float]:
    """Return (module, layer that runs next) → share of the module's own time that it copies numbers.

    What a layer itself copies is its own.
    """
    scopes: list[AbstractContextManager[Any]] = []
    handles = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            scopes.append(record_function(SCOPE + name))
            scopes[-1].__enter__()

        return hook

    def leave(*_: object) -> None:
        scopes.pop().__exit__(None, None, None)

    for name, module in network.named_modules():
        handles += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
    try:
        run()
        with without_native_stderr(), profile(activities=[ProfilerActivity.CPU]) as traced:
            for _ in range(TRACED_CALLS):
                run()
    finally:
        for handle in handles:
            handle.remove()
    events = sorted(traced.events() or [], key=lambda event: event.time_range.start)
    own: dict[str, float] = {}
    copies: dict[tuple[str, str], float] = {}
    waiting: list[tuple[str, float]] = []  # copies before the next layer
    for event in events:
        if event.name.startswith(SCOPE):
            name = event.name.removeprefix(SCOPE)
            inner = sum(c.cpu_time_total for c in event.cpu_children if c.name.startswith(SCOPE))
            own[name] = own.get(name, 0.0) + event.cpu_time_total - inner
            if name in layers:
                for scope, took in waiting:
                    copies[scope, name] = copies.get((scope, name), 0.0) + took
                waiting.clear()
            continue
        parent = event.cpu_parent
        if event.name not in COPIES or (parent is not None and parent.name in COPIES):
            continue
        while parent is not None and not parent.name.startswith(SCOPE):
            parent = parent.cpu_parent
        scope = "" if parent is None else parent.name.removeprefix(SCOPE)
        if not any(scope == layer or scope.startswith(f"{layer}.") for layer in layers):
            waiting.append((scope, event.cpu_time_total))
    for scope, took in waiting:
        copies[scope, ""] = copies.get((scope, ""), 0.0) + took
    return {key: min(1.0, took / own[key[0]]) for key, took in copies.items() if own.get(key[0], 0.0) > 0}
