"""One step of training: what it needs on the device, and the batches it is fed with.

Data stay uint8 and move to a GPU once; nothing in a step waits for it.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.config.spec import TrainSpec
from pruning_core.datasets.batches import Dataset, Split, batches, draw, make_batch
from pruning_core.errors import TrainingError, UnavailableError
from pruning_core.system.cuda_graph import GraphedCallable
from pruning_core.system.hardware import fast_bf16, training_memory_format
from pruning_core.training.muon import Muon

MAX_DATA_FRACTION = 0.25
"""A training split moves to a GPU whole if it takes no more than this fraction of the free memory there."""

MIN_STEPS_FOR_GRAPH = 20
"""Capturing a CUDA graph took 25 ms for a ResNet-18 on an H200, as long as three steps kernel by kernel."""


@dataclass(frozen=True)
class Distillation:
    """A dense model whose answers a smaller one learns from, beside the labels.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """

    teacher: nn.Module
    weight: float  # share of the loss, in (0, 1]
    temperature: float


class TrainStep:
    """A network, its optimizer and its images on the device, ready to take steps."""

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        spec: TrainSpec,
        *,
        distillation: Distillation | None = None,
        zeros: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Move everything to the device that the spec resolves to.

        Args:
            network: On the CPU, float32; trained in place.
            dataset: Its training split is used, nothing else.
            spec: How to train.
            distillation: A dense model to learn from.
            zeros: Name of a weight → bool of its shape, true where it has to stay zero.

        Raises:
            UnavailableError: If the device asked for is not there.
        """
        self.network, self.spec = network, spec
        self.device = resolve_device(spec)
        self.precision = resolve_precision(spec, self.device)
        self.memory_format = training_memory_format(str(self.device))
        place(network.train(), self.device, self.memory_format)
        if distillation is not None:
            place(distillation.teacher.eval(), self.device, self.memory_format)
        self._distillation = distillation
        self.optimizers = make_optimizers(network, spec, self.device, self.precision, dataset.spec.channels)
        self.split, self._images = _on_device(dataset.train, self.device), dataset.spec
        parameters = dict(network.named_parameters())
        self._zeros = [(parameters[name], zero.to(self.device)) for name, zero in (zeros or {}).items()]
        self._graphed: GraphedCallable | None = None
        # A batch is made inside of the step's graph where its images are on the device.
        self._batch_in_graph = False
        steps = spec.epochs * (len(dataset.train.labels) // spec.batch_size)  # of whole batches
        if self.device.type == "cuda" and steps >= MIN_STEPS_FOR_GRAPH:
            self._batch_in_graph = self.split.images.device.type == self.device.type
            self._graph_steps()

    def _graph_steps(self) -> None:
        """Launch each step as one CUDA graph."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch lacks its annotations
        self._graphed = GraphedCallable(self._take_step, stream)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                # A graph would repeat the number that it was captured with; a tensor it reads anew.
                group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=self.device)

    @property
    def memory_format_name(self) -> str:
        """How images and weights lie in memory: `channels_last` or `contiguous`."""
        return "channels_last" if self.memory_format is torch.channels_last else "contiguous"

    @property
    def graphed(self) -> bool:
        """Tell whether steps are launched as one CUDA graph by now."""
        return self._graphed is not None and self._graphed.captured

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

    def step(self, *batch: Tensor) -> Tensor:  # -> ()
        """Take one step and return the loss, valid until the next one, without waiting for the device.

        Args:
            batch: One that `batches_of_epoch` gave.
        """
        return self._graphed(*batch) if self._graphed is not None else self._take_step(*batch)

    def _take_step(self, *batch: Tensor) -> Tensor:
        images, labels = self._compose(batch[0]) if self._batch_in_graph else batch
        images = images.contiguous(memory_format=self.memory_format)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.network(images)  # (N, classes)
        check_trainable(logits)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.spec.label_smoothing)
        if self._distillation is not None:
            loss = torch.lerp(
                loss, self._distillation_loss(self._distillation, images, logits), self._distillation.weight
            )
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            for weight, zero in self._zeros:
                weight.masked_fill_(zero, 0.0)
        return loss.detach()

    def _distillation_loss(self, distillation: Distillation, images: Tensor, logits: Tensor) -> Tensor:
        with (
            torch.no_grad(),
            torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            answers = distillation.teacher(images)  # (N, classes)
        t = distillation.temperature
        student, teacher = F.log_softmax(logits.float() / t, 1), F.log_softmax(answers.float() / t, 1)
        # t² keeps the gradient's size, whatever the temperature.
        return t * t * F.kl_div(student, teacher, reduction="batchmean", log_target=True)

    def _compose(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        return make_batch(self.split, self._images, drawn, self.device)

    def batches_of_epoch(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Walk over the training images in the order, and with the augmentation, of an epoch.

        Args:
            epoch: Counted from 0.

        Returns:
            What `step` takes, batch by batch, on the device: images, float32 (B, C, H, W), and labels, int64
            (B,); or, where a step makes its batch itself, what was drawn for it, int64 (B, 1) or (B, 4).
        """
        seed, size = self.spec.seed, self.spec.batch_size
        order = torch.Generator().manual_seed(derive_seed(seed, epoch, "order"))
        # The label is older than the argument; another one would draw other images for the same seed.
        varied = torch.Generator().manual_seed(derive_seed(seed, epoch, "variation"))
        augmentation = varied if self.spec.augment else None
        if self._batch_in_graph:
            drawn = draw(len(self.split.labels), self._images, size, order, augmentation).to(self.device)
            yield from zip(torch.split(drawn, size))
        else:
            yield from batches(
                self.split, self._images, size, order=order, augmentation=augmentation, device=self.device
            )

    def release(self) -> None:
        """Bring the networks back to the CPU, in evaluation mode."""
        self._graphed = None  # and with it the memory that it works in
        for network in (self.network, *([self._distillation.teacher] if self._distillation else [])):
            place(network.eval(), torch.device("cpu"), torch.contiguous_format)


def check_trainable(logits: Tensor) -> None:
    """Refuse logits that no gradient can go back from.

    Raises:
        TrainingError: If the whole network is frozen.
    """
    if not logits.requires_grad:
        raise TrainingError(
            "nothing in this network can be trained: all its layers are frozen (requires_grad=False), or "
            "forward() cuts them off from the loss (no_grad, detach); mend that, or set epochs = 0"
        )


def resolve_device(spec: TrainSpec) -> torch.device:
    """Return the device to train on: the one asked for, or CUDA if there is one.

    Raises:
        UnavailableError: If CUDA was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if spec.device == "cuda" and not available:
        raise UnavailableError('cannot train on cuda: torch finds no CUDA device here. Use device = "auto".')
    return torch.device("cuda" if available and spec.device != "cpu" else "cpu")


def resolve_precision(spec: TrainSpec, device: torch.device) -> str:
    """Return the precision to train in: the one asked for, or bf16 where the device is fast at it."""
    if spec.precision != "auto":
        return spec.precision
    return "bf16" if fast_bf16(str(device)) else "fp32"


def derive_seed(seed: int, epoch: int, purpose: str) -> int:
    """Return a seed for one purpose in one epoch; unlike seed + epoch, no two of them coincide."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def make_optimizers(
    network: nn.Module, spec: TrainSpec, device: torch.device, precision: str, channels: int
) -> list[torch.optim.Optimizer]:
    """Return what trains a network: SGD, without decay on norms and biases, and Muon if it is asked for.

    Args:
        network: On `device`.
        spec: How to train.
        device: Where the steps run.
        precision: Of the steps.
        channels: Of an image: convolutions on no more than these are left to SGD.

    Source: He et al., "Bag of Tricks for Image Classification", 2019.
    """
    nesterov = spec.nesterov and spec.momentum > 0
    turned: list[nn.Parameter] = []
    left: list[nn.Parameter] = []
    for p in (p for p in network.parameters() if p.requires_grad):  # frozen ones stay as they are
        after_first_conv = spec.optimizer == "muon" and p.ndim > 2 and p.shape[1] > channels
        (turned if after_first_conv else left).append(p)
    groups = [
        {"params": [p for p in left if p.ndim >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in left if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if left:
        sgd = torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=spec.learning_rate,
            momentum=spec.momentum,
            nesterov=nesterov,
            fused=device.type in ("cpu", "cuda"),  # one pass over all parameters instead of several
        )
        optimizers.append(sgd)
    if turned:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        optimizers.append(
            Muon(turned, lr=spec.muon_rate, momentum=spec.momentum, nesterov=nesterov, dtype=dtype)
        )
    return optimizers


def deterministic(device: torch.device) -> AbstractContextManager[None]:
    """Let steps on a device give the same weights every time."""
    if device.type != "cuda":
        return nullcontext()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def place(network: nn.Module, device: torch.device, memory_format: torch.memory_format) -> None:
    """Move a network, in place, to a device and a memory format."""
    network.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]  # torch's stub lacks this overload


def _on_device(split: Split, device: torch.device) -> Split:
    """Return the split on a device that has room for it, else as it is: batches then move one by one."""
    if device.type != "cuda":
        return split
    free_bytes, _ = torch.cuda.mem_get_info(device)
    if split.images.nbytes > MAX_DATA_FRACTION * free_bytes:
        return split
    return Split(split.images.to(device), split.labels.to(device))
