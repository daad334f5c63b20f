"""What a training step can fail of, told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from pruning_core.errors import PruningBenchError, TrainingError
from pruning_core.user_code.functions import one_line, raise_if_not_theirs


@contextmanager
def step_failures(images: int, precision: str | None) -> Iterator[None]:
    """Tell in one line what a network raises while it is trained, forward or backward.

    Args:
        images: In the batch.
        precision: Of the step; None: no step, batch norms gather statistics.

    Raises:
        TrainingError: For whatever the network raises.
    """
    try:
        yield
    except PruningBenchError:
        raise
    except BaseException as error:
        raise_if_not_theirs(error)
        alone = " on one image (give it two or more: batch_size, norm_images)" if images == 1 else ""
        step = f"take a training step in {precision}"
        doing = step if precision else "run with its batch norms in training mode"
        way_out = " (try precision fp32)" if precision == "bf16" else ""
        raise TrainingError(f"the network cannot {doing}{alone}: {one_line(error)}{way_out}") from error


def check_trainable(loss: Tensor) -> None:
    """Refuse a loss that no gradient can go back from.

    Raises:
        TrainingError: If the whole network is frozen.
    """
    if not loss.requires_grad:
        raise TrainingError(
            "nothing in this network can be trained: all its layers are frozen (requires_grad=False), or "
            "forward() cuts them off from the loss (no_grad, detach); mend that, or set epochs = 0"
        )
