"""The profile of ONNX Runtime: the JSON file of its own profiler, node by node."""

import json
import shutil
import tempfile
import weakref
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pruning_core.backends.onnx_names import OnnxNames
from pruning_core.backends.onnxruntime import bind_session, open_session, session_options
from pruning_core.explain.onnx_layers import OnnxLayers
from pruning_core.explain.profile import Node, ProfiledCall, Profiler
from pruning_core.models.inputs import Inputs

TIMED = "_kernel_time"
"""Behind the name of a node in the event of what it computes."""


class OnnxRuntimeProfiler(Profiler):
    """A network in two sessions: one as it is, one that writes a profile."""

    def __init__(
        self, onnx_bytes: bytes, layers: OnnxLayers, names: OnnxNames, example: Inputs, threads: int
    ) -> None:
        """Open both sessions.

        Args:
            onnx_bytes: The model, quantized or not.
            layers: Of the model as it was exported.
            names: Of inputs and outputs.
            example: What the network takes, as many examples as one call has.
            threads: CPU threads to use.
        """
        self._layers = layers
        folder = tempfile.mkdtemp(prefix="pruning-bench-")
        self._remove = weakref.finalize(self, shutil.rmtree, folder, True)
        options = session_options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        plain = open_session(onnx_bytes, session_options(threads), "CPUExecutionProvider", {})
        self._session = open_session(onnx_bytes, options, "CPUExecutionProvider", {})
        self._plain = bind_session(plain, example, "cpu", names)
        self._profiled = bind_session(self._session, example, "cpu", names)

    def call(self) -> object:
        """Run the session without a profile."""
        return self._plain()

    def call_profiled(self) -> object:
        """Run the session with one."""
        return self._profiled()

    def finish(self) -> Sequence[ProfiledCall]:
        """Read the file: events of a run lie within its time."""
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        self._remove()
        return calls_in(events, self._layers)


def calls_in(events: Sequence[dict[str, Any]], layers: OnnxLayers) -> list[ProfiledCall]:
    """Return the calls in the events of ONNX Runtime's profile; its times are in microseconds."""
    runs = sorted((e for e in events if e.get("name") == "model_run"), key=lambda event: event["ts"])
    ends = [event["ts"] + event["dur"] for event in runs]
    nodes: list[list[Node]] = [[] for _ in runs]
    timed = [e for e in events if e.get("cat") == "Node" and e["name"].endswith(TIMED)]
    for event in sorted(timed, key=lambda event: event["ts"]):
        index = bisect_left(ends, event["ts"])
        if index < len(runs):
            name = event["name"].removesuffix(TIMED)
            layer, kind = layers.find(name, event["args"]["op_name"])
            nodes[index].append(Node(name, layer, kind, event["dur"] / 1e3))
    return [
        ProfiledCall(event["dur"] / 1e3, with_next_layers(of_run))
        for event, of_run in zip(runs, nodes, strict=True)
    ]


def with_next_layers(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Give each conversion the layer that runs next, the last ones the layer before them.

    Args:
        nodes: In the order in which they ran.
    """
    found: list[Node] = []
    following = next((node.layer for node in reversed(nodes) if node.kind == "layer"), "")
    for node in reversed(nodes):
        if node.kind == "layer":
            following = node.layer
        found.append(Node(node.name, following, node.kind, node.ms) if node.kind == "conversion" else node)
    return tuple(reversed(found))
