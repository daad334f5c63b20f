"""One step of training: a batch from what was drawn for it, loss, gradients, new weights.

What is drawn, and what the loss is, is the task's affair. Nothing in a step waits for the device.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruning_core.config.spec import TrainSpec
from pruning_core.models.inputs import (
    Inputs,
    Outputs,
    count_rows,
    lay_out_rows,
    max_channels,
    run,
    tensors_of,
)
from pruning_core.models.memory_format import choose_memory_format, name_of
from pruning_core.pruning.penalty import Regularization
from pruning_core.system.cuda_graph import GraphedCallable
from pruning_core.system.hardware import training_memory_format
from pruning_core.tasks.base import Task
from pruning_core.training.device import move_to, resolve_device, resolve_precision
from pruning_core.training.failures import check_trainable, step_failures
from pruning_core.training.muon import Muon
from pruning_core.training.optimizers import make_optimizers

MIN_STEPS_FOR_GRAPH = 20
"""Shorter trainings are launched kernel by kernel: capturing a CUDA graph takes as long as a few steps."""


@dataclass(frozen=True)
class Distillation:
    """A dense model whose logits a smaller one learns from, beside the labels.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """

    teacher: nn.Module
    weight: float  # share of the loss, in (0, 1]
    temperature: float


class TrainStep:
    """A network, its optimizers and its training batches on the device, ready to take steps."""

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        spec: TrainSpec,
        *,
        distillation: Distillation | None = None,
        frozen_zeros: Mapping[str, Tensor] | None = None,
        regularization: Regularization | None = None,
    ) -> None:
        """Move everything to the device that the spec resolves to.

        Args:
            network: On the CPU, float32; trained in place.
            task: Its training batches are used, nothing else.
            spec: How to train.
            distillation: A dense model to learn from.
            frozen_zeros: Name of a weight → bool of its shape, true where it has to stay zero.
            regularization: A penalty on channels, beside the loss.

        Raises:
            UnavailableError: If the device asked for is not there.
        """
        self.network, self.spec = network, spec
        self.device = resolve_device(spec)
        self.precision = resolve_precision(spec, self.device)
        self.memory_format = self._move(network.train(), task, train=True)
        self._teacher_format = self.memory_format
        if distillation is not None:
            self._teacher_format = self._move(distillation.teacher.eval(), task, train=False)
        self._distillation = distillation
        channels = max_channels(task.example())
        self.optimizers = make_optimizers(network, spec, self.device, self.precision, channels)
        self.batches = task.training_batches(network, spec, self.device)
        parameters = dict(network.named_parameters())
        self._zeros = [
            (parameters[name], zero.to(self.device)) for name, zero in (frozen_zeros or {}).items()
        ]
        self.penalty = None if regularization is None else regularization.penalty_on(network)
        self.data_s = 0.0
        """Time so far in which batches were made by themselves, and not as part of a CUDA graph."""
        self._step_graph: GraphedCallable | None = None  # the whole step …
        self._learn_graph: GraphedCallable | None = None  # … or all of it but its batch
        if self.device.type == "cuda" and self.batches.alike_steps >= MIN_STEPS_FOR_GRAPH:
            self._use_graph()

    def _move(self, network: nn.Module, task: Task, *, train: bool) -> torch.memory_format:
        """Move a network to the device, in the memory format that the machine prefers if it runs in it."""
        preferred = training_memory_format(str(self.device))
        autocast = self.precision == "bf16"
        chosen = choose_memory_format(
            network, task.example(), preferred, self.device, train=train, autocast=autocast
        )
        move_to(network, self.device, chosen)
        return chosen

    def _use_graph(self) -> None:
        """Launch each step as one CUDA graph, without its batch where that is made on the CPU."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch lacks its annotations
        if self.batches.source_device == self.device.type:
            self._step_graph = GraphedCallable(self._take_step, stream)
        else:
            self._learn_graph = GraphedCallable(self._learn, stream)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                # A graph would repeat the number that it was captured with; a tensor is read in each replay.
                group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=self.device)

    @property
    def memory_format_name(self) -> str:
        """How inputs and weights lie in memory: `channels_last` or `contiguous`."""
        return name_of(self.memory_format)

    @property
    def graphed(self) -> bool:
        """Whether steps are launched as one CUDA graph by now."""
        graph = self._step_graph or self._learn_graph
        return graph is not None and graph.captured

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps; Muon's follows it in proportion."""
        for optimizer in self.optimizers:
            own = rate
            if isinstance(optimizer, Muon):
                own *= self.spec.muon_rate / self.spec.learning_rate
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(own)
                else:
                    group["lr"] = own

    def momentum_buffers(self) -> dict[str, Tensor]:
        """Return the momentum of each parameter that has one by now, by the parameter's name."""
        states = {p: state for optimizer in self.optimizers for p, state in optimizer.state.items()}
        found = {n: states.get(p, {}).get("momentum_buffer") for n, p in self.network.named_parameters()}
        return {name: momentum for name, momentum in found.items() if momentum is not None}

    def set_momentum_buffers(self, buffers: Mapping[str, Tensor]) -> None:
        """Go on with what `momentum_buffers` gave."""
        names = {parameter: name for name, parameter in self.network.named_parameters()}
        for optimizer in self.optimizers:
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                if names[parameter] in buffers:
                    # empty_like keeps the parameter's memory format: another one would sum in another order.
                    buffer = torch.empty_like(parameter).copy_(buffers[names[parameter]]).detach()
                    optimizer.state[parameter]["momentum_buffer"] = buffer

    def sample_epoch(self, epoch: int) -> Iterable[Any]:
        """Return what is drawn for an epoch, counted from 0: what `step` takes, batch by batch."""
        return self.batches.draw(epoch)

    def step(self, drawn: Any) -> Tensor:  # -> ()
        """Take one step and return the loss, valid until the next one, without waiting for the device.

        Args:
            drawn: What was drawn for a batch, one of those that `sample_epoch` gave.
        """
        return self._step_graph(drawn) if self._step_graph is not None else self._take_step(drawn)

    def _take_step(self, drawn: Any) -> Tensor:
        started = time.perf_counter()
        batch = self.batches.make(drawn)
        self.data_s += time.perf_counter() - started
        learn = self._learn if self._learn_graph is None else self._learn_graph
        return learn(*batch)

    def _learn(self, *batch: Any) -> Tensor:
        """Move the weights by the gradient of a batch on the device; its first item goes into the network."""
        with step_failures(count_rows(batch[0]), self.precision):
            loss = self._loss(lay_out_rows(batch[0], self.memory_format), batch)
            check_trainable(loss)
            self.network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            if self.penalty is not None:
                with torch.no_grad():
                    self.penalty.add_gradients()
            for optimizer in self.optimizers:
                optimizer.step()
        with torch.no_grad():
            for weight, zero in self._zeros:
                weight.masked_fill_(zero, 0.0)
        return loss.detach()

    def _loss(self, inputs: Inputs, batch: tuple[Any, ...]) -> Tensor:
        output = self._run(self.network, inputs)
        loss = self.batches.loss(output, (inputs, *batch[1:]))
        if self._distillation is None:
            return loss
        with torch.no_grad():
            taught = self._run(self._distillation.teacher, lay_out_rows(inputs, self._teacher_format))
        temperature = self._distillation.temperature
        distance = self.batches.distillation_loss(output, (inputs, *batch[1:]), taught, temperature)
        return torch.lerp(loss, distance, self._distillation.weight)

    def _run(self, network: nn.Module, inputs: Inputs) -> Outputs:
        kind = tensors_of(inputs)[0].device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16"):
            return run(network, inputs)

    def release(self) -> None:
        """Bring the networks back to the CPU, in evaluation mode."""
        self._step_graph = self._learn_graph = None  # and with them the memory that they work in
        for network in (self.network, *([self._distillation.teacher] if self._distillation else [])):
            move_to(network.eval(), torch.device("cpu"), torch.contiguous_format)
