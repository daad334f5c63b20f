"""A training of the chain: shown, noted on disk, resumed where it was interrupted."""

from collections.abc import Mapping

from torch import Tensor, nn

from pruning_core.chain.specs import training_step_label
from pruning_core.config.spec import TrainSpec
from pruning_core.datasets.batches import Dataset
from pruning_core.store import ResumeState
from pruning_core.training.loop import TrainResult, train
from pruning_core.training.step import Distillation
from pruning_core.workspace import Workspace

SAVE_EVERY_S = 30.0
"""An interrupted training loses no more than this, and the epoch it was in."""


def train_resumably(
    network: nn.Module,
    spec: TrainSpec,
    dataset: Dataset,
    place: Workspace,
    unfinished: ResumeState,
    what: str,
    *,
    distillation: Distillation | None = None,
    zeros: Mapping[str, Tensor] | None = None,
) -> TrainResult:
    """Train in place, from the last epoch that was saved; `what` says in words which training it is."""
    state = unfinished.load()
    if state is not None:
        place.display.say(f"{what}: resumed after epoch {state.epoch}")
    unfinished.note_step(training_step_label(what, state.epoch if state else 0, spec.epochs))
    with place.display.work(what, on_silence=unfinished.note_silence) as advance:

        def advance_and_note(done: int, total: int) -> None:
            unfinished.note_step(training_step_label(what, done * spec.epochs // total, spec.epochs))
            advance(done, total)

        return train(
            network,
            dataset,
            spec,
            distillation=distillation,
            zeros=zeros,
            resume=state,
            on_epoch=unfinished.save,
            save_every_s=SAVE_EVERY_S,
            on_step=advance_and_note,
        )
