"""The profile of OpenVINO: its performance counts (`PERF_COUNT`), node by node.

What it tells of a node is the mean of all calls since the model was compiled, in whole microseconds, those
that warmed it up among them. So the time of a round is the difference of two totals, and the model is
compiled again before the totals of many calls make the rounding large.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from pruning_core.backends.onnx_names import OnnxNames
from pruning_core.backends.openvino import OpenVinoExecutable
from pruning_core.explain.onnx_layers import OnnxLayers
from pruning_core.explain.onnxruntime_profile import with_next_layers
from pruning_core.explain.profile import Node, ProfiledCall, Profiler
from pruning_core.models.inputs import Inputs, count_rows

ROUNDS_COMPILED = 4
"""Rounds for which one compiled model serves."""

EXECUTED = "EXECUTED"
"""Status of a node that ran."""

FUSED = "originalLayersNames"
"""Where a compiled model keeps the names of what it fused into a node."""


class _Counting(OpenVinoExecutable):
    """A model that counts."""

    def _config(self, streams: int) -> dict[str, str]:
        return {**super()._config(streams), "PERF_COUNT": "YES"}

    def compile_again(self) -> None:
        """Forget what was counted."""
        self._by_batch.clear()


class OpenVinoProfiler(Profiler):
    """A network compiled twice: as it is, and with performance counts."""

    def __init__(
        self,
        onnx_bytes: bytes,
        layers: OnnxLayers,
        names: OnnxNames,
        example: Inputs,
        precision: str,
        threads: int,
    ) -> None:
        """Compile both.

        Args:
            onnx_bytes: The model, quantized or not.
            layers: Of the model as it was exported.
            names: Of inputs and outputs.
            example: What the network takes, as many examples as one call has.
            precision: One that the backend has.
            threads: CPU threads to use.
        """
        self._layers = layers
        self._plain = OpenVinoExecutable(onnx_bytes, precision, threads, names).bind(example)
        self._counting = _Counting(onnx_bytes, precision, threads, names)
        self._example = example
        self._requests = self._counting.requests_for(example)
        self._fused = _fused_names(self._counting, count_rows(example))
        self._rounds: list[_CountedRound] = [_CountedRound()]
        self._counted = 0  # calls since the model was compiled

    def call(self) -> object:
        """Run the network as it is."""
        return self._plain()

    def begin_round(self) -> object:
        """Read what the last round took."""
        self._end_round()
        if len(self._rounds) % ROUNDS_COMPILED == 0:
            self._counting.compile_again()
            self._requests = self._counting.requests_for(self._example)
            self._counted = 0
        self._rounds.append(_CountedRound())
        return None

    def call_profiled(self) -> object:
        """Run it with counts."""
        started = time.perf_counter()
        for request in self._requests:
            request.start_async()
        for request in self._requests:
            request.wait()
        now = self._rounds[-1]
        now.ms.append(1e3 * (time.perf_counter() - started))
        self._counted += 1
        if len(now.ms) == 1:
            now.before = self._totals()
        return None

    def finish(self) -> Sequence[ProfiledCall]:
        """Return the profiles of all calls: those of one round are alike."""
        self._end_round()
        return [ProfiledCall(fmean(one.ms[1:] or one.ms), one.nodes) for one in self._rounds for _ in one.ms]

    def _totals(self) -> dict[tuple[str, str], float]:
        """Return name and kind of each node → milliseconds of all calls; of streams the mean of one."""
        totals: dict[tuple[str, str], float] = {}
        for request in self._requests:
            for counts in request.get_profiling_info():
                if not str(counts.status).endswith(EXECUTED):  # fused, a constant, or under a microsecond
                    continue
                key = (counts.node_name, counts.node_type)
                mean_ms = counts.real_time.total_seconds() * 1e3 / len(self._requests)
                totals[key] = totals.get(key, 0.0) + mean_ms * self._counted
        return totals

    def _end_round(self) -> None:
        one = self._rounds[-1]
        nodes = []
        for (name, operator), total in self._totals().items() if len(one.ms) > 1 else ():
            took = (total - one.before.get((name, operator), 0.0)) / (len(one.ms) - 1)
            layer, kind = self._layers.find(name, operator, self._fused.get(name, ()))
            nodes.append(Node(name, layer, kind, max(0.0, took)))
        one.nodes = with_next_layers(nodes)


@dataclass
class _CountedRound:
    """The calls of a round, and what its nodes took in one of them."""

    ms: list[float] = field(default_factory=list)
    before: dict[tuple[str, str], float] = field(default_factory=dict)  # totals behind the first call
    nodes: tuple[Node, ...] = ()


def _fused_names(executable: OpenVinoExecutable, examples: int) -> Mapping[str, tuple[str, ...]]:
    found = {}
    for operation in executable.compiled_for(examples).get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()  # a mapping that has neither `get` nor `items`
        if FUSED in info:
            found[operation.get_friendly_name()] = tuple(filter(None, info[FUSED].value.split(",")))
    return found
