"""What a backend must do: make a model ready to run, then run it."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from pruning_core.models.inputs import Inputs, Outputs

LAUNCH_BOUND_FROM = 0.8
"""A cell is launch-bound above this launch time, as a fraction of the device's time."""


@dataclass(frozen=True)
class DeviceTime:
    """Seconds per call of one model on one batch, by the clocks of the device and of the host.

    The calls are launched back to back: nothing waits for the device in between (`cuda_timing.py`).
    """

    device_s: float
    """From the first call's start to the last call's end on the device, divided by the number of calls."""

    launch_s: float
    """Host time to launch one call, not to wait for it."""

    @property
    def launch_bound(self) -> bool:
        """Whether the device waits for the host, so that a smaller network is hardly any faster.

        The device's time alone does not show it, since it includes the gaps in which the device is idle. A
        host that launches faster than the device computes has a much smaller time per call; where both times
        are about equal, the device waits for the host.
        """
        return self.launch_s > LAUNCH_BOUND_FROM * self.device_s


class Executable(ABC):
    """A model made ready to run on one backend, precision and device."""

    memory_format: str
    """Layout of the images that the model gets: `contiguous`, `channels_last`, or `backend` where the runtime
    chooses it."""

    @abstractmethod
    def predict(self, inputs: Inputs) -> Outputs:
        """Return what the model gives.

        Args:
            inputs: What it takes, on the CPU, of any number of examples from 1 on: normalised float32
                images, (N, C, H, W), say.

        Returns:
            Its outputs, float32 on the CPU, in memory that later calls do not touch: logits, (N, classes).
        """

    @abstractmethod
    def bind(self, inputs: Inputs) -> Callable[[], Outputs]:
        """Lay inputs out where the backend wants them and return a callable to be timed.

        Args:
            inputs: As for `predict`.

        Returns:
            A callable. Each call runs the model exactly once on these inputs and returns when the outputs
            are ready. They stay on the device and in the type in which the model gives them, and are valid
            until its next call.
        """

    def options(self, batch_size: int | None = None) -> dict[str, str]:
        """Return what the runtime was told that is not its default: its own name of each option → the value.

        Threads, precision and device have fields of their own in a record, and are left out.

        Args:
            batch_size: Images in a timed call; None for `predict`, which takes any number.
        """
        return {}

    def time_on_device(self, inputs: Inputs) -> DeviceTime | None:
        """Time this model by the clock of its device.

        Args:
            inputs: As for `predict`.

        Returns:
            Times per call, or None where only the host has a clock.
        """
        return None

    def peak_memory_bytes(self, inputs: Inputs) -> int | None:
        """Return the peak memory of one call on the device: weights, images and activations of this model.

        Args:
            inputs: As for `predict`.

        Returns:
            Bytes, or None where the device does not count them.
        """
        return None


class Backend(ABC):
    """Something that executes models."""

    name: str
    """Its name in `BACKENDS`."""

    precisions: tuple[str, ...]
    """Those it has, on whatever machine."""

    for_masks = False
    """Whether it skips weights that are zero, and else is `eager`."""

    shared_thread_pool = False
    """Whether all its models in a process run on one pool of threads, not each on its own."""

    @abstractmethod
    def unavailable_reason(self, precision: str, device: str) -> str | None:
        """Return None if this backend can run on this machine, else why not and what to do about it.

        Args:
            precision: One of `precisions`.
            device: A device of this machine (see `check_device`).
        """

    @abstractmethod
    def load(
        self,
        model: nn.Module,
        example: Inputs,
        *,
        precision: str,
        device: str,
        threads: int,
        calibration: Inputs = None,
    ) -> Executable:
        """Make a copy of a model ready to run; the model itself stays as it is.

        Args:
            model: A network in float32 on the CPU, in any mode; it runs in evaluation mode.
            example: What it takes, of one example: a float32 image of the right size, (1, C, H, W), say.
            precision: One of `precisions`.
            device: `cpu`, `cuda:0`, …
            threads: CPU threads to use, at least 1.
            calibration: Inputs of training examples on the CPU, as `predict` takes them, from which int8
                takes the ranges of activations. int8 needs them; other precisions ignore them.

        Raises:
            OptionError: If int8 has no calibration images that fit the model.
            BackendError: If this backend cannot run this model.
        """


def options_text(options: Mapping[str, str]) -> str:
    """Return options as a record holds them: `name=value`, sorted by name; empty for none."""
    return ", ".join(f"{name}={value}" for name, value in sorted(options.items()))


def missing_packages(*names: str) -> str | None:
    """Return None if all packages are installed, else which are not and how to install them.

    No package is imported.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"not installed: {', '.join(missing)}. Install with: pip install 'pruning-bench[backends]'"
