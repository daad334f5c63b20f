"""One step of training: a batch from what was drawn for it, loss, gradients, new weights.

Images stay uint8, and move to a GPU once where they fit. Nothing in a step waits for the device.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.config.spec import DatasetSpec, TrainSpec
from pruning_core.datasets.base import Dataset
from pruning_core.datasets.batches import announce_batches, make_batch, sample_epoch
from pruning_core.models.memory_format import choose_memory_format, name_of
from pruning_core.system.cuda_graph import GraphedCallable
from pruning_core.system.hardware import training_memory_format
from pruning_core.training.device import move_split, move_to, resolve_device, resolve_precision
from pruning_core.training.epoch import batch_sizes, split_epoch
from pruning_core.training.failures import check_trainable, step_failures
from pruning_core.training.muon import Muon
from pruning_core.training.optimizers import make_optimizers
from pruning_core.training.outputs import Outputs
from pruning_core.training.reproducibility import derive_seed

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
    """A network, its optimizers and its images on the device, ready to take steps."""

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        spec: TrainSpec,
        *,
        distillation: Distillation | None = None,
        frozen_zeros: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Move everything to the device that the spec resolves to.

        Args:
            network: On the CPU, float32; trained in place.
            dataset: Its training split is used, nothing else.
            spec: How to train.
            distillation: A dense model to learn from.
            frozen_zeros: Name of a weight → bool of its shape, true where it has to stay zero.

        Raises:
            UnavailableError: If the device asked for is not there.
        """
        self.network, self.spec = network, spec
        self.device = resolve_device(spec)
        self.precision = resolve_precision(spec, self.device)
        self.memory_format = self._move(network.train(), dataset.spec, train=True)
        self._teacher_format = self.memory_format
        if distillation is not None:
            self._teacher_format = self._move(distillation.teacher.eval(), dataset.spec, train=False)
        self._distillation, self._outputs = distillation, Outputs(network, dataset.spec.classes)
        self.optimizers = make_optimizers(network, spec, self.device, self.precision, dataset.spec.channels)
        self.split, self._images = move_split(dataset.train, self.device), dataset.spec
        parameters = dict(network.named_parameters())
        self._zeros = [
            (parameters[name], zero.to(self.device)) for name, zero in (frozen_zeros or {}).items()
        ]
        self.data_s = 0.0
        """Time so far in which batches were made by themselves, and not as part of a CUDA graph."""
        self._step_graph: GraphedCallable | None = None  # the whole step …
        self._learn_graph: GraphedCallable | None = None  # … or all of it but its batch
        sizes = batch_sizes(len(dataset.train.labels), spec.batch_size)
        steps = spec.epochs * sizes.count(spec.batch_size)  # alike, as a graph needs them
        if self.device.type == "cuda" and steps >= MIN_STEPS_FOR_GRAPH:
            self._use_graph()

    def _move(self, network: nn.Module, images: DatasetSpec, *, train: bool) -> torch.memory_format:
        """Move a network to the device, in the memory format that the machine prefers if it runs in it."""
        image, autocast = (images.channels, images.height, images.width), self.precision == "bf16"
        preferred = training_memory_format(str(self.device))
        chosen = choose_memory_format(network, image, preferred, self.device, train=train, autocast=autocast)
        move_to(network, self.device, chosen)
        return chosen

    def _use_graph(self) -> None:
        """Launch each step as one CUDA graph, but without its batch where the images stay on the CPU."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch lacks its annotations
        if self.split.images.device.type == self.device.type:
            self._step_graph = GraphedCallable(self._take_step, stream)
        else:
            self._learn_graph = GraphedCallable(self._learn, stream)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                # A graph would repeat the number that it was captured with; a tensor is read in each replay.
                group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=self.device)

    @property
    def memory_format_name(self) -> str:
        """How images and weights lie in memory: `channels_last` or `contiguous`."""
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

    def sample_epoch(self, epoch: int) -> tuple[Tensor, ...]:
        """Draw the order of the training images, and their augmentation, for an epoch.

        Args:
            epoch: Counted from 0.

        Returns:
            What `step` takes, batch by batch: int64 (B, 1), (B, 4) or (B, 6), on the device of the images.
        """
        spec = self.spec
        shuffle = torch.Generator().manual_seed(derive_seed(spec.seed, epoch, "order"))
        # The label is older than the argument; another one would draw other images for the same seed.
        augmentation = torch.Generator().manual_seed(derive_seed(spec.seed, epoch, "variation"))
        choices = sample_epoch(
            self.split,
            self._images,
            spec.batch_size,
            shuffle,
            augmentation if spec.augment else None,
        )
        batches = split_epoch(choices.to(self.split.images.device), spec.batch_size)
        announce_batches(self.split, batches)
        return batches

    def step(self, choices: Tensor) -> Tensor:  # -> ()
        """Take one step and return the loss, valid until the next one, without waiting for the device.

        Args:
            choices: What was drawn for a batch, one of those that `sample_epoch` gave.
        """
        return self._step_graph(choices) if self._step_graph is not None else self._take_step(choices)

    def _take_step(self, choices: Tensor) -> Tensor:
        started = time.perf_counter()
        images, labels = make_batch(self.split, self._images, choices, self.device)
        self.data_s += time.perf_counter() - started
        learn = self._learn if self._learn_graph is None else self._learn_graph
        return learn(images, labels)

    def _learn(self, images: Tensor, labels: Tensor) -> Tensor:
        """Move the weights by the gradient of a batch: float32 (B, C, H, W) and int64 (B,), on the device."""
        with step_failures(len(images), f"take a training step in {self.precision}"):
            loss = self._loss(images.contiguous(memory_format=self.memory_format), labels)
            check_trainable(loss)
            self.network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            for optimizer in self.optimizers:
                optimizer.step()
        with torch.no_grad():
            for weight, zero in self._zeros:
                weight.masked_fill_(zero, 0.0)
        return loss.detach()

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            output = self.network(images)
        loss = self._outputs.loss(output, images, labels, self.spec.label_smoothing)
        if self._distillation is None:
            return loss
        logits, _ = self._outputs.split(output, images)  # (N, classes)
        return torch.lerp(
            loss, self._distillation_loss(self._distillation, images, logits), self._distillation.weight
        )

    def _distillation_loss(self, distillation: Distillation, images: Tensor, logits: Tensor) -> Tensor:
        with (
            torch.no_grad(),
            torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            teacher_logits = distillation.teacher(
                images.contiguous(memory_format=self._teacher_format)
            )  # (B, classes)
        t = distillation.temperature
        student, teacher = F.log_softmax(logits.float() / t, 1), F.log_softmax(teacher_logits.float() / t, 1)
        # t² keeps the gradient's size, whatever the temperature.
        return t * t * F.kl_div(student, teacher, reduction="batchmean", log_target=True)

    def release(self) -> None:
        """Bring the networks back to the CPU, in evaluation mode."""
        self._step_graph = self._learn_graph = None  # and with them the memory that they work in
        for network in (self.network, *([self._distillation.teacher] if self._distillation else [])):
            move_to(network.eval(), torch.device("cpu"), torch.contiguous_format)
