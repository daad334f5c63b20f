"""The profile of OpenVINO: its performance counts (`PERF_COUNT`), node by node, after each call."""

import time
from collections.abc import Mapping, Sequence

from pruning_core.backends.onnx_names import OnnxNames
from pruning_core.backends.openvino import OpenVinoExecutable
from pruning_core.explain.onnx_layers import OnnxLayers
from pruning_core.explain.onnxruntime_profile import with_next_layers
from pruning_core.explain.profile import Node, ProfiledCall, Profiler
from pruning_core.models.inputs import Inputs, count_rows

FUSED = "originalLayersNames"
"""Where a compiled model keeps the names of what it fused into a node."""


class _Counting(OpenVinoExecutable):
    """A model that counts."""

    def _config(self, streams: int) -> dict[str, str]:
        return {**super()._config(streams), "PERF_COUNT": "YES"}


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
        counting = _Counting(onnx_bytes, precision, threads, names)
        self._requests = counting.requests_for(example)
        self._fused = _fused_names(counting, count_rows(example))
        self._calls: list[ProfiledCall] = []

    def call(self) -> object:
        """Run the network as it is."""
        return self._plain()

    def call_profiled(self) -> object:
        """Run it with counts; of several streams the mean is kept, since they run side by side."""
        started = time.perf_counter()
        for request in self._requests:
            request.start_async()
        for request in self._requests:
            request.wait()
        ms = 1e3 * (time.perf_counter() - started)
        sums: dict[tuple[str, str], float] = {}
        for request in self._requests:
            for counts in request.get_profiling_info():
                key = (counts.node_name, counts.node_type)
                took = counts.real_time.total_seconds() * 1e3 / len(self._requests)
                sums[key] = sums.get(key, 0.0) + took
        nodes = []
        for (name, operator), took in sums.items():
            if took:
                layer, kind = self._layers.find(name, operator, self._fused.get(name, ()))
                nodes.append(Node(name, layer, kind, took))
        self._calls.append(ProfiledCall(ms, with_next_layers(nodes)))
        return None

    def finish(self) -> Sequence[ProfiledCall]:
        """Return the profiles of all calls."""
        return self._calls


def _fused_names(executable: OpenVinoExecutable, examples: int) -> Mapping[str, tuple[str, ...]]:
    found = {}
    for operation in executable.compiled_for(examples).get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()  # a mapping that has neither `get` nor `items`
        if FUSED in info:
            found[operation.get_friendly_name()] = tuple(filter(None, info[FUSED].value.split(",")))
    return found
