"""A function of tensors on a GPU, launched as one CUDA graph instead of kernel by kernel.

A host launches the kernels of a small network's training step more slowly than a GPU computes them. The first
calls run as they are; then one is captured, and later calls replay it on new inputs.

Source: "Whole-network capture" in https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pruning_core.errors import first_line

WARM_UP_CALLS = 3
"""Calls before a capture: cuDNN chooses kernels and workspaces are allocated, neither of which may happen
inside."""

Tensors = tuple[Tensor, ...]


class GraphedCallable:
    """A function whose calls are replayed once one of them could be captured; else it runs as it is.

    Only calls whose inputs have the shapes of the very first ones are replayed. A function that waits for
    the device cannot be captured, and one that draws from a generator of the CPU must not be: its choice
    would be frozen. Such a function goes on as it is, and `capture_error` says why.
    """

    def __init__(self, function: Callable[..., Tensor], stream: torch.cuda.Stream) -> None:
        """Wrap a function.

        Args:
            function: Takes tensors on the stream's device and gives one; what it changes besides keeps
                its memory.
            stream: All calls run on it: a capture allows no work of the same network on another one.
        """
        self.capture_error = ""
        self._function, self._stream = function, stream
        self._shapes: list[torch.Size] = []
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Tensors = ()
        self._output = torch.empty(0)

    @property
    def captured(self) -> bool:
        """Tell whether calls are replayed by now."""
        return self._graph is not None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Call the function; what it gives is valid until the next call."""
        with self._on_stream():
            shapes = [tensor.shape for tensor in inputs]
            self._shapes = self._shapes or shapes
            if self.capture_error or shapes != self._shapes:
                return self._function(*inputs)
            if self._calls < WARM_UP_CALLS:
                self._calls += 1
                return self._warm_up_call(inputs)
            if self._graph is None:
                self._capture(inputs)
            if self._graph is None:
                return self._function(*inputs)
            for target, tensor in zip(self._inputs, inputs, strict=True):
                target.copy_(tensor)
            self._graph.replay()
            return self._output

    def _warm_up_call(self, inputs: Tensors) -> Tensor:
        """Call the function as it is, and check whether it does what a graph could not."""
        before = (torch.get_rng_state(), random.getstate())
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # A prototype, which misses some waits; what it finds need not fail in a capture.
            torch.cuda.set_sync_debug_mode("warn")
            try:
                output = self._function(*inputs)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        ours = [warning for warning in caught if "synchroniz" in str(warning.message).lower()]
        for warning in caught:
            if warning not in ours:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        waits = any("synchronizing CUDA operation" in str(warning.message) for warning in ours)
        if waits and self._calls == WARM_UP_CALLS:  # the first call may wait for what is made only once
            self.capture_error = "it waits for the device"
        if not torch.equal(before[0], torch.get_rng_state()) or before[1] != random.getstate():
            self.capture_error = "it draws from a generator of the CPU"
        return output

    def _capture(self, inputs: Tensors) -> None:
        graph = torch.cuda.CUDAGraph()
        self._inputs = tuple(tensor.clone(memory_format=torch.preserve_format) for tensor in inputs)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._output = self._function(*self._inputs)
        except Exception as error:
            self.capture_error = first_line(error)
            # A capture that failed leaves the device's generator waiting for its end; another one ends it.
            with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=self._stream):
                torch.zeros((), device=self._stream.device)
            return
        self._graph = graph

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        outside = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            yield
        outside.wait_stream(self._stream)
