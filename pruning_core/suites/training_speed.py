"""How fast this machine trains a network: our step in pairs with one of a baseline loop, as fields.

Both take the same network, images and batch size, and both load their own batches: what is compared is a
whole step, data loading included. Evidence: `measure/README.md`.
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as MapDataset

from pruning_core.config.spec import DenseSpec, TrainSpec
from pruning_core.datasets.base import Dataset
from pruning_core.measure.group_sampler import ReferenceGroup
from pruning_core.models.copying import copy_network
from pruning_core.pruning.cost import count_cost
from pruning_core.pruning.penalty import Regularization
from pruning_core.suites.latency_fields import contention_fields, speedup_fields
from pruning_core.suites.latency_session import LatencySession
from pruning_core.system.cuda_graph import WARM_UP_CALLS
from pruning_core.tasks.base import Task
from pruning_core.tasks.class_outputs import Outputs
from pruning_core.torchvision_compat import transforms
from pruning_core.training.device import resolve_device
from pruning_core.training.failures import check_trainable, step_failures
from pruning_core.training.reproducibility import deterministic
from pruning_core.training.step import TrainStep

FLOPS_PER_MAC = 6
"""Forward, and backward by inputs and by weights: three products of two operations each."""

BASELINE = "baseline loop"
"""The reference of a training cell: DataLoader, image by image, float32, contiguous, SGD."""


def time_training(
    spec: DenseSpec, task: Task, session: LatencySession, threads: int
) -> tuple[dict[str, Any], list[float]]:
    """Time steps of a training, and of a baseline loop over the same images.

    Args:
        spec: Which network, and how it is trained.
        task: The one of the spec.
        session: Takes the samples.
        threads: CPU threads.

    Returns:
        Fields of the record, and the samples in seconds per step.

    Raises:
        NotTimedError: If the task is no classification: there is no such loop.
    """
    images = task.images
    network = task.build(spec.model.name, spec.train.seed)
    ours, baseline = TrainerStep(network, task, spec.train), BaselineStep(network, images, spec.train)
    device = str(ours.device)
    ((timing,),), contention = session.time_interleaved(
        f"training steps of {spec.model.name} on {spec.dataset.name}",
        device,
        threads,
        [ReferenceGroup(baseline, [ours], session.options.budget_s)],
    )
    step_s, baseline_s = timing.latency_s, timing.reference_latency_s
    fields: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "train_precision": ours.precision,
        "train_cuda_graph": ours.graphed,
        "train_memory_format": ours.memory_format,
        "batch_size": ours.batch_size,
        "step_ms": step_s * 1e3,
        "images_per_s": ours.batch_size / step_s,
        "reference": BASELINE,
        "reference_images_per_s": ours.batch_size / baseline_s,
        "data_share": ours.data_share,
        "is_control": False,
        **speedup_fields(timing, session.options),
        **contention_fields(contention),
    }
    roofline = session.roofline(device, ours.precision, threads)
    if roofline is not None:
        macs = count_cost(network, task.one()).macs
        flops_per_s = FLOPS_PER_MAC * macs * ours.batch_size / step_s
        fields["peak_gflops"] = roofline.peak_flops_per_s / 1e9
        fields["roofline_fraction"] = flops_per_s / roofline.peak_flops_per_s
    return fields, list(timing.candidate_s)


class TrainerStep:
    """One step of `training.train` a call, batch after batch, epoch after epoch."""

    def __init__(
        self, network: nn.Module, task: Task, spec: TrainSpec, regularization: Regularization | None = None
    ) -> None:
        """Prepare a copy of a network as `training.loop.train` does.

        Args:
            network: On the CPU, float32; stays as it is.
            task: Its training batches are used.
            spec: How to train.
            regularization: A penalty on channels, beside the loss.
        """
        self._step = TrainStep(copy_network(network), task, spec, regularization=regularization)
        self.batch_size = task.extent(spec).batch
        self._choices = self._endless_choices()
        self.data_s = self.total_s = 0.0
        if self.device.type != "cpu":  # the first calls on a GPU load kernels, and one is captured in a graph
            for _ in range(WARM_UP_CALLS + 1):
                self()
            self.data_s = self.total_s = 0.0

    def __call__(self) -> Tensor:
        """Take one step and return its loss when it is there."""
        start, made_before_s = time.perf_counter(), self._step.data_s
        choices = next(self._choices)
        drawn = time.perf_counter()
        with deterministic(self.device):
            loss = self._step.step(choices)
        _wait_for(self._step.device)
        self.data_s += drawn - start + self._step.data_s - made_before_s
        self.total_s += time.perf_counter() - start
        return loss

    @property
    def precision(self) -> str:
        """What the training precision resolved to."""
        return self._step.precision

    @property
    def graphed(self) -> bool:
        """Whether a step is launched as one CUDA graph."""
        return self._step.graphed

    @property
    def memory_format(self) -> str:
        """How images and weights lie in memory."""
        return self._step.memory_format_name

    @property
    def device(self) -> torch.device:
        """What the training device resolved to."""
        return self._step.device

    @property
    def data_share(self) -> float:
        """Fraction of the time so far in which batches were made, not trained on."""
        return self.data_s / self.total_s if self.total_s else 0.0

    def _endless_choices(self) -> Iterator[Any]:
        epoch = 0
        while True:
            for drawn in self._step.sample_epoch(epoch):
                if self._step.batches.size(drawn) == self.batch_size:
                    yield drawn  # no smaller last batch: a sample is one step, all alike
            epoch += 1


class BaselineStep:
    """One step of the baseline loop a call: DataLoader, image by image, float32, contiguous."""

    def __init__(self, network: nn.Module, dataset: Dataset, spec: TrainSpec) -> None:
        """Prepare a copy of a network (see `TrainerStep`); only batch size and device are from `spec`."""
        self._device = resolve_device(spec)
        self._network = copy_network(network).to(self._device).train()
        self._outputs = Outputs(self._network, dataset.spec.classes)
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=0.01, momentum=0.9)
        order = torch.Generator().manual_seed(spec.seed)
        self._loader = DataLoader(
            _PerImageDataset(dataset),
            batch_size=min(spec.batch_size, len(dataset.train.labels)),
            shuffle=True,
            generator=order,
            drop_last=True,
        )
        self._batches = self._endless_batches()

    def __call__(self) -> Tensor:
        """Take one step and return its loss when it is there."""
        images, labels = next(self._batches)
        images = images.to(self._device)
        with step_failures(len(images), "fp32"):
            loss = self._outputs.loss(self._network(images), images, labels.to(self._device), 0.0)
            check_trainable(loss)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        self._optimizer.step()
        _wait_for(self._device)
        return loss.detach()

    def _endless_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self._loader


_MAX_COPIED_BYTES = 2**29
"""Images of no more than this are laid out for the baseline loop once, and not one by one."""


class _PerImageDataset(MapDataset[tuple[Tensor, int]]):
    """Images one at a time, as torchvision's own datasets give them: PIL, ToTensor, Normalize."""

    def __init__(self, dataset: Dataset) -> None:
        images, size = dataset.train.images, (dataset.spec.height, dataset.spec.width)
        self._images = images
        if (
            isinstance(images, Tensor) and images.nbytes <= _MAX_COPIED_BYTES
        ):  # (N, C, H, W), strided (N, H, W, C)
            self._images = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        self._labels = dataset.train.labels.tolist()
        resize = [transforms.Resize(size)] if tuple(images.shape[2:]) != size else []
        self._transform = transforms.Compose(
            [*resize, transforms.ToTensor(), transforms.Normalize(dataset.spec.mean, dataset.spec.std)]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self._images[index : index + 1][0].permute(1, 2, 0).contiguous().numpy()  # (H, W, C)
        image = Image.fromarray(pixels) if pixels.shape[2] == 3 else pixels  # ToTensor takes arrays as well
        return self._transform(image), self._labels[index]


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
