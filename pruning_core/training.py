"""Train and fine-tune: SGD in the manner that is usual for small images, resumable after each epoch.

All chance is drawn from generators seeded by (seed, epoch), so that a training that was interrupted and
resumed gives the same weights as one that was not. Not for: where a checkpoint is kept (`store.py`).
"""

import hashlib
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning_core.data import Dataset, batches
from pruning_core.errors import TrainingError, UnavailableError
from pruning_core.hardware import fast_bf16
from pruning_core.spec import TrainSpec

_DIV_FACTOR = 25.0  # onecycle starts at peak / 25 …
_FINAL_DIV_FACTOR = 1e4  # … and ends at a ten-thousandth of that: the defaults of torch's OneCycleLR


@dataclass(frozen=True)
class EpochState:
    """All that a training needs to go on after an epoch."""

    epoch: int  # epochs finished
    tensors: dict[str, Tensor]  # "model.<name>" and "momentum.<name>"
    seconds: float  # spent in training so far, over all interruptions
    losses: tuple[float, ...]  # mean training loss of each finished epoch


@dataclass(frozen=True)
class TrainResult:
    """What a training resolved to and cost."""

    precision: str
    device: str
    threads: int
    seconds: float
    losses: tuple[float, ...]


def train(
    network: nn.Module,
    dataset: Dataset,
    spec: TrainSpec,
    *,
    resume: EpochState | None = None,
    on_epoch: Callable[[EpochState], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> TrainResult:
    """Train `network` in place, from its present weights or from an earlier state.

    Args:
        network: On the CPU, float32; left there, in evaluation mode.
        dataset: Its training split is used, nothing else.
        spec: How to train.
        resume: State after an earlier epoch of the same training.
        on_epoch: Called with the state after each epoch but the last.
        on_step: Called with (steps done, steps in all) after each step.

    Raises:
        TrainingError: If the loss is no longer a number.
        UnavailableError: If the device asked for is not there.
    """
    device = resolve_device(spec)
    precision = resolve_precision(spec, device)
    # channels_last lets oneDNN and cuDNN skip a re-layout before each convolution.
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this overload
    optimizer = _make_optimizer(network, spec)
    done, losses, seconds = 0, [], 0.0
    if resume is not None:
        _restore(network, optimizer, resume)
        done, losses, seconds = resume.epoch, list(resume.losses), resume.seconds
    steps_per_epoch = math.ceil(len(dataset.train.labels) / spec.batch_size)
    steps = steps_per_epoch * spec.epochs
    network.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _same_every_time(device):
        for epoch in range(done, spec.epochs):
            started = time.perf_counter()
            torch.manual_seed(derive_seed(spec.seed, epoch, "layers"))  # dropout draws from this one
            loss_sum = torch.zeros((), device=device)
            for index, (images, labels) in enumerate(_epoch_batches(dataset, spec, epoch, device)):
                step = epoch * steps_per_epoch + index
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(spec, step, steps)
                loss = _step(network, optimizer, images, labels, spec, precision)
                loss_sum += loss * len(labels)  # no .item(): that would wait for the device
                if on_step is not None:
                    on_step(step + 1, steps)
            losses.append(loss_sum.item() / len(dataset.train.labels))
            seconds += time.perf_counter() - started
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"the training loss is no longer a number after epoch {epoch + 1}; "
                    f"lower learning_rate (now {spec.learning_rate:g})"
                )
            if on_epoch is not None and epoch + 1 < spec.epochs:
                on_epoch(EpochState(epoch + 1, _tensors_of(network, optimizer), seconds, tuple(losses)))
    network.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as above
    network.eval()
    return TrainResult(precision, str(device), torch.get_num_threads(), seconds, tuple(losses))


def learning_rate(spec: TrainSpec, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0.

    `onecycle` rises to the peak over the first `warmup` of all steps and falls to almost 0, both as half a
    cosine. A function of the step alone, so that a resumed training needs no scheduler's state.

    Source: Smith and Topin, "Super-Convergence", 2018, in the form of torch.optim.lr_scheduler.OneCycleLR.
    """
    if spec.lr_schedule == "constant":
        return spec.learning_rate
    start = spec.learning_rate / _DIV_FACTOR
    peak_step = spec.warmup * steps - 1
    if step <= peak_step:
        return _cosine(start, spec.learning_rate, step / peak_step)
    return _cosine(
        spec.learning_rate, start / _FINAL_DIV_FACTOR, (step - peak_step) / max(steps - 1 - peak_step, 1e-9)
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


def _epoch_batches(dataset: Dataset, spec: TrainSpec, epoch: int, device: torch.device):  # type: ignore[no-untyped-def]  # an iterator of (images, labels), as `batches` gives it
    order = torch.Generator().manual_seed(derive_seed(spec.seed, epoch, "order"))
    variation = torch.Generator().manual_seed(derive_seed(spec.seed, epoch, "augmentation"))
    return batches(
        dataset.train,
        dataset.spec,
        spec.batch_size,
        order=order,
        variation=variation if spec.augment else None,
        device=str(device),
    )


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,  # (N, C, H, W)
    labels: Tensor,  # (N,)
    spec: TrainSpec,
    precision: str,
) -> Tensor:
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = network(images)  # (N, classes)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=spec.label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
    optimizer.step()
    return loss.detach()


def _make_optimizer(network: nn.Module, spec: TrainSpec) -> torch.optim.Optimizer:
    # No decay on norms and biases: see He et al., "Bag of Tricks for Image Classification", 2019.
    decayed = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=spec.learning_rate,
        momentum=spec.momentum,
        nesterov=spec.nesterov and spec.momentum > 0,
    )


def _tensors_of(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    # Copies: the parameters go on changing while the caller holds the state.
    tensors = {f"model.{name}": _copy(tensor) for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = _copy(momentum)
    return tensors


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _restore(network: nn.Module, optimizer: torch.optim.Optimizer, state: EpochState) -> None:
    weights = {n.removeprefix("model."): t for n, t in state.tensors.items() if n.startswith("model.")}
    network.load_state_dict(weights)
    for name, parameter in network.named_parameters():
        momentum = state.tensors.get(f"momentum.{name}")
        if momentum is not None:
            # empty_like keeps the parameter's memory format: another one would sum in another order.
            optimizer.state[parameter]["momentum_buffer"] = (
                torch.empty_like(parameter).copy_(momentum).detach()
            )


def _same_every_time(device: torch.device) -> AbstractContextManager[None]:
    if device.type != "cuda":
        return nullcontext()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))
