"""What a user's evaluation asks a network, and what that answers: the first rows are kept, to be compared."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pruning_core.errors import TaskError
from pruning_core.models.inputs import (
    Inputs,
    Outputs,
    count_rows,
    explain,
    in_float,
    join_rows,
    map_tensors,
    take_rows,
    tensors_of,
)
from pruning_core.tasks.base import Predict
from pruning_core.tasks.score import Score
from pruning_core.user_code.tensors import unusual_kind

MAX_KEPT_BYTES = 64_000_000
"""Of outputs, and of inputs: what is beyond is scored, but not compared with what another backend answers."""

MAX_KEPT_INPUTS = 512
"""Examples whose inputs are kept, to be asked again in batches of other sizes."""


@dataclass(frozen=True)
class UserEvaluation:
    """What a network answered to a user's test examples."""

    score: Score | None  # None where only answers were asked for
    n: int  # examples
    outputs: Outputs  # of the first examples, float32 on the CPU

    @property
    def known(self) -> Score:
        """The score of answers that were scored."""
        assert self.score is not None
        return self.score

    @property
    def named(self) -> dict[str, Any]:
        """The score as records have it, without bounds."""
        score = self.known
        return {
            "score": score.value,
            "score_n": self.n,
            "score_name": score.name,
            "score_better": score.better,
        }


@dataclass
class Recorder:
    """Stands for a network in `evaluate(predict)`."""

    predict: Predict
    example: Inputs
    rows: int = 0
    _outputs: list[Outputs] = field(default_factory=list)
    _inputs: list[Inputs] = field(default_factory=list)
    _bytes: dict[str, int] = field(default_factory=dict)
    _full: set[str] = field(default_factory=set)

    def __call__(self, inputs: Inputs) -> Outputs:
        """Run the network on inputs like the example's, any number of them."""
        check_like(inputs, self.example, "evaluate(): predict() takes")
        output = in_float(self.predict(map_tensors(lambda tensor: tensor.detach(), inputs)))
        if self.rows >= MAX_KEPT_INPUTS:
            self._full.add("inputs")
        self._keep("inputs", self._inputs, inputs)
        self._keep("outputs", self._outputs, output)
        self.rows += count_rows(inputs)
        return output

    @property
    def outputs(self) -> Outputs:
        """Outputs of the first examples."""
        return join_rows(self._outputs)

    @property
    def inputs(self) -> Inputs:
        """Inputs of the first examples."""
        return join_rows(self._inputs)

    def _keep(self, kind: str, kept: list[Any], value: Any) -> None:
        """Keep a copy of inputs or outputs while they fit, and are of one shape with the first."""
        size = sum(tensor.nbytes for tensor in tensors_of(value))
        room = MAX_KEPT_BYTES - self._bytes.get(kind, 0)
        if kind in self._full or (kept and _shapes(kept[0]) != _shapes(value)):
            self._full.add(kind)
            return
        if size > room:
            self._full.add(kind)
            rows = int(count_rows(value) * room / size)
            value = take_rows(value, slice(0, rows if kept else max(rows, 1)))
        if count_rows(value):
            kept.append(map_tensors(lambda tensor: tensor.detach().clone(), value))
            self._bytes[kind] = self._bytes.get(kind, 0) + size


def bounds(name: str, interval: tuple[float, float] | None) -> dict[str, float]:
    """Return the bounds of a field as fields; nothing where there are none."""
    return {} if interval is None else {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def check_like(inputs: Inputs, example: Inputs, what: str) -> None:
    """Refuse inputs that are not of the example's structure, or have not as many examples in each tensor.

    Raises:
        TaskError: In one line.
    """
    tensors = tensors_of(inputs)
    if unusual := next(filter(None, map(unusual_kind, tensors)), ""):
        raise TaskError(f"{what} tensors of numbers row by row; got {unusual}")
    alike = _structure(inputs) == _structure(example)
    if (
        not alike
        or len({len(tensor) if tensor.dim() else -1 for tensor in tensors}) != 1
        or not len(tensors[0])
    ):
        raise TaskError(
            f"{what} inputs as example_inputs() gives them, {explain(example)}; got {explain(inputs)}"
        )


def _structure(value: Any) -> str:
    return str(torch.utils._pytree.tree_flatten(value)[1]) + str([t.dim() for t in tensors_of(value)])


def _shapes(value: Any) -> list[torch.Size]:
    return [tensor.shape[1:] for tensor in tensors_of(value)]


def max_difference(a: Outputs, b: Outputs) -> list[tuple[float, float]]:
    """Return for each output the largest difference of a number, and the largest number of the second."""
    found = []
    for one, other in zip(tensors_of(a), tensors_of(b), strict=True):
        rows = min(len(one), len(other))
        first, second = one[:rows].double(), other[:rows].double()
        found.append((_largest(first - second), _largest(second)))
    return found


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0
