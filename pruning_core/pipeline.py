"""The story: train a dense model, prune it, fine-tune it, prune further. Each step: load it, or make it.

    dense ── prune to ratio 1 ── fine-tune ── prune to ratio 2 ── fine-tune ── …      (iterative)
    dense ── prune to ratio k ── fine-tune, for each k                                (one-shot)

A step always starts from its parent *as stored*, so that a chain that was interrupted anywhere gives the
same checkpoints as one that was not. Not for: measuring latency (`measure/`), or choosing what to make
(`grid.py`).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from pruning_core import data
from pruning_core.answers import answer, check_answer
from pruning_core.cells import Variant
from pruning_core.errors import TrainingError
from pruning_core.grid import Grid
from pruning_core.measure.accuracy import Evaluation, evaluate
from pruning_core.measure.cost import count_cost
from pruning_core.methods import Pruning, find_method
from pruning_core.methods.masks import sparsity_of, zeros_of
from pruning_core.models import build_model, find_classifier, model_spec
from pruning_core.norms import renew_norms
from pruning_core.plan import Plan, load_pruned, make_plan
from pruning_core.progress import ProgressDisplay
from pruning_core.spec import (
    CheckpointSpec,
    DatasetSpec,
    DenseSpec,
    MethodSpec,
    PrunedSpec,
    TrainSpec,
    key_of,
)
from pruning_core.store import Checkpoint, Made, Metrics, Store, Unfinished
from pruning_core.system.hardware import most_threads, set_torch_threads
from pruning_core.training import TrainResult, train
from pruning_core.training_step import Distillation, resolve_device

SAVE_EVERY_S = 30.0
"""An interrupted training loses no more than this, and the epoch it was in."""


_answered: set[tuple[Path, str]] = set()
"""Checkpoints whose networks were seen to answer as stored, by folder and time: seen once in a process."""


@dataclass
class Workplace:
    """Where the work is done: the store, the datasets, and who watches."""

    store: Store
    display: ProgressDisplay
    data_root: Path | None = None
    download: bool = False
    pixels: Literal["dataset", "half"] = "dataset"
    before_first_training: Callable[[], None] | None = None  # says how long all of it will take
    _datasets: dict[str, data.Dataset] = field(default_factory=dict)
    _checkpoints: dict[str, Checkpoint] = field(default_factory=dict)

    def dataset(self, name: str) -> data.Dataset:
        """Load a dataset, once."""
        if name not in self._datasets:
            cache = self.store.root / "datasets"
            dataset = data.load_dataset(
                name, data_root=self.data_root, cache=cache, download=self.download, display=self.display
            )
            if self.pixels == "half":  # to [−1, 1], as tutorials do
                halves = (0.5,) * dataset.spec.channels
                spec = dataset.spec.model_copy(update={"mean": halves, "std": halves})
                dataset = replace(dataset, spec=spec)
            self._datasets[name] = dataset
        return self._datasets[name]

    def find(self, spec: CheckpointSpec) -> Checkpoint | None:
        """Return a stored checkpoint; read and verified once for each process."""
        key = key_of(spec)
        if key not in self._checkpoints:
            found = self.store.find(spec)
            if found is None:
                return None
            self._checkpoints[key] = found
        return self._checkpoints[key]


def make_variant(variant: Variant, grid: Grid, place: Workplace) -> Checkpoint:
    """Load the checkpoint of a variant, or make it and whatever it starts from."""
    threads = most_threads(grid.threads)
    return make_checkpoint(specs_of(variant, grid, place), place.dataset(variant.dataset), place, threads)


def specs_of(variant: Variant, grid: Grid, place: Workplace) -> list[CheckpointSpec]:
    """Return the specs from dense to `variant`, each the parent of the next."""
    dataset = place.dataset(variant.dataset)
    model = model_spec(variant.model, dataset.spec.classes, _image_of(dataset.spec))
    specs: list[CheckpointSpec] = [DenseSpec(model=model, dataset=dataset.spec, train=grid.train)]
    if variant.is_dense:
        return specs
    method = grid.method_spec(variant.method)
    library = find_method(variant.method).library()
    earlier = [r for r in grid.ratios if 0 < r < variant.ratio] if method.schedule == "iterative" else []
    for ratio in [*earlier, variant.ratio]:
        specs.append(
            PrunedSpec(
                parent=key_of(specs[-1]),
                model=specs[0].model,
                dataset=dataset.spec,
                method=method,
                ratio=ratio,
                fine_tune=grid.fine_tune_at(ratio),
                library=library,
            )
        )
    return specs


def make_checkpoint(
    specs: list[CheckpointSpec], dataset: data.Dataset, place: Workplace, threads: int
) -> Checkpoint:
    """Load the checkpoint of the last spec, or make it from the checkpoint of the one before.

    Args:
        specs: From dense to the one asked for, each the parent of the next.
        dataset: The one of the specs.
        place: Where the work is done.
        threads: CPU threads to make it on; sums on another number of threads round otherwise.
    """
    *earlier, spec = specs
    found = place.find(spec)
    if found is not None:
        return found  # before its parent is looked for: a finished checkpoint needs no parent any more
    set_torch_threads(threads)
    if place.before_first_training is not None:
        forecast, place.before_first_training = place.before_first_training, None
        forecast()
    if isinstance(spec, DenseSpec):
        return place.store.load_or_make(
            spec, lambda unfinished: train_dense(spec, dataset, place, unfinished)
        )
    parent = make_checkpoint(earlier, dataset, place, threads)
    dense = make_checkpoint(specs[:1], dataset, place, threads) if spec.fine_tune.distill_weight > 0 else None
    return place.store.load_or_make(
        spec, lambda unfinished: prune_and_fine_tune(spec, parent, dense, dataset, place, unfinished)
    )


def train_dense(spec: DenseSpec, dataset: data.Dataset, place: Workplace, unfinished: Unfinished) -> Made:
    """Train a network from its seed."""
    network = _build(spec, seed=spec.train.seed)
    what = training_label(spec)
    result = _train(network, spec.train, dataset, place, unfinished, what)
    with _step(place, unfinished, f"evaluate {spec.model.name} on {spec.dataset.name}"):
        tested = _evaluate(network, dataset, spec.train)
    return _made(make_plan(_build(spec), network), network, spec, result, tested, tested)


def prune_and_fine_tune(
    spec: PrunedSpec,
    parent: Checkpoint,
    dense: Checkpoint | None,
    dataset: data.Dataset,
    place: Workplace,
    unfinished: Unfinished,
) -> Made:
    """Prune the parent to the spec's ratio and fine-tune what is left, taught by the dense model if asked."""
    network = load_network(parent)
    name = f"{spec.model.name} on {spec.dataset.name}, {spec.method.name} {spec.ratio:g}"
    before = parent.plan, sparsity_of(network)
    started = time.perf_counter()
    with _step(place, unfinished, f"prune {name}"):
        plan = prune(network, _build(spec), spec.method, spec.ratio, _example(spec), spec.fine_tune.seed)
    prune_s = time.perf_counter() - started
    if removed_nothing(before, (plan, sparsity_of(network))):
        return _exhausted(plan, parent)
    with _step(place, unfinished, f"evaluate {name}, pruned"):
        renew_norms(network, dataset, spec.fine_tune)
        tested_pruned = _evaluate(network, dataset, spec.fine_tune)
    what = training_label(spec)
    distillation = None
    if dense is not None:
        weight, temperature = spec.fine_tune.distill_weight, spec.fine_tune.distill_temperature
        distillation = Distillation(load_network(dense), weight, temperature)
    zeros = zeros_of(network) if find_method(spec.method.name).masks else {}
    result = _train(
        network, spec.fine_tune, dataset, place, unfinished, what, distillation=distillation, zeros=zeros
    )
    # Without an epoch it is the network that was just tested.
    tested = tested_pruned
    if spec.fine_tune.epochs:
        with _step(place, unfinished, f"evaluate {name}, fine-tuned"):
            tested = _evaluate(network, dataset, spec.fine_tune)
    return _made(plan, network, spec, result, tested, tested_pruned, prune_s)


def training_label(spec: CheckpointSpec) -> str:
    """Say in words which training makes a checkpoint."""
    where = f"{spec.model.name} on {spec.dataset.name}"
    if isinstance(spec, DenseSpec):
        return f"train {where}, {spec.train.epochs} epochs"
    return f"fine-tune {where}, {spec.method.name} {spec.ratio:g}, {spec.fine_tune.epochs} epochs"


def training_step_label(what: str, epochs_done: int, epochs: int) -> str:
    """Say in words where a training is: the step that a native death is counted at."""
    return f"{what}: epoch {min(epochs_done + 1, epochs)}"


def prune(
    network: nn.Module, dense: nn.Module, method: MethodSpec, ratio: float, example: Tensor, seed: int
) -> Plan:
    """Prune a network, in place, and return its channel plan.

    Args:
        network: Dense, or pruned before.
        dense: The same network as built; `ratio` is relative to its widths.
        method: How channels are chosen.
        ratio: Fraction of the dense channels to remove.
        example: (1, C, H, W).
        seed: For methods that draw by chance.
    """
    classifier = find_classifier(dense, example)
    step = Pruning(method, ratio, dense, example, protected=(classifier,), seed=seed)
    # Ratio 0 asks for nothing; rounding must not remove channels all the same.
    requested = find_method(method.name).prune(network, step) if ratio > 0 else {}
    return make_plan(dense, network, requested)


def removed_nothing(before: tuple[Plan, float], after: tuple[Plan, float]) -> bool:
    """Tell whether a step of pruning is exhausted: as wide, and as sparse, as the network before it.

    Args:
        before: Plan and sparsity of the network that the step started from.
        after: The same of what it left.
    """
    return before[0].kept_widths == after[0].kept_widths and before[1] == after[1]


def load_network(checkpoint: Checkpoint) -> nn.Module:
    """Build the network of a checkpoint, without torch-pruning: model name, plan, weights."""
    spec = checkpoint.spec
    network = load_pruned(_build(spec), checkpoint.plan, checkpoint.weights()).eval()
    if (checkpoint.path, checkpoint.metrics.created) not in _answered:
        check_answer(
            network,
            spec.dataset,
            checkpoint.metrics.answers,
            f"checkpoint {checkpoint.key}: {spec.model.name} does not answer as it did when it was stored; "
            "what it reads or the libraries it uses have changed since: "
            f"undo that, or delete {checkpoint.path} to make it anew",
        )
        _answered.add((checkpoint.path, checkpoint.metrics.created))
    return network


def serialised_size_bytes(network: nn.Module) -> int:
    """Return the size of the network's weights file, in bytes."""
    return len(safetensors.torch.save(_weights_of(network)))


def _train(
    network: nn.Module,
    spec: TrainSpec,
    dataset: data.Dataset,
    place: Workplace,
    unfinished: Unfinished,
    what: str,
    *,
    distillation: Distillation | None = None,
    zeros: Mapping[str, Tensor] | None = None,
) -> TrainResult:
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


@contextmanager
def _step(place: Workplace, unfinished: Unfinished, what: str) -> Iterator[None]:
    """Note a step of the making on disk, and say so when it does not end."""
    unfinished.note_step(what)
    with place.display.waiting_for(what, unfinished.note_silence):
        yield


def _build(spec: CheckpointSpec, seed: int = 0) -> nn.Module:
    return build_model(spec.model.name, spec.dataset.classes, _image_of(spec.dataset), seed)


def _image_of(spec: DatasetSpec) -> tuple[int, int, int]:
    return spec.channels, spec.height, spec.width


def _example(spec: CheckpointSpec) -> Tensor:
    return torch.zeros(1, *_image_of(spec.dataset))


def _evaluate(network: nn.Module, dataset: data.Dataset, spec: TrainSpec) -> Evaluation:
    """Evaluate in float32, where the network was trained; it comes back to the CPU."""
    device = resolve_device(spec)
    network.eval().to(device)

    def predict(images: Tensor) -> Tensor:  # (N, C, H, W) -> (N, classes)
        with torch.inference_mode():
            logits: Tensor = network(images.to(device).contiguous(memory_format=torch.channels_last))
            return logits.cpu()

    evaluation = evaluate(predict, dataset.test, dataset.spec)
    network.cpu()
    return evaluation


def _made(
    plan: Plan,
    network: nn.Module,
    spec: CheckpointSpec,
    result: TrainResult,
    tested: Evaluation,
    tested_pruned: Evaluation,
    prune_s: float = 0.0,
) -> Made:
    _refuse_weights_that_are_no_numbers(network, spec)
    cost = count_cost(network, _example(spec))
    weights = _weights_of(network)
    answers = answer(network.eval(), spec.dataset)
    if spec.model.state_sha256:  # a user's: what else it keeps nobody knows
        check_answer(
            load_pruned(_build(spec), plan, weights),
            spec.dataset,
            answers,
            f"model {spec.model.name} answers otherwise when its weights are loaded into a new network: keep "
            "what it computes with in parameters and buffers, persistent ones",
        )
    metrics = Metrics(
        macs=cost.macs,
        params=cost.params,
        size_bytes=serialised_size_bytes(network),
        accuracy=tested.accuracy,
        accuracy_pruned=tested_pruned.accuracy,
        accuracy_n=tested.n,
        exhausted=False,
        sparsity=sparsity_of(network),
        prune_s=prune_s,
        train_s=result.seconds,
        train_outside_s=result.outside_s,
        train_losses=result.losses,
        train_precision=result.precision,
        train_device=result.device,
        train_threads=result.threads,
        train_graphed=result.graphed,
        train_memory_format=result.memory_format,
        torch=torch.__version__,
        answers=answers,
        created=_now(),
    )
    return Made(plan, weights, metrics)


def _refuse_weights_that_are_no_numbers(network: nn.Module, spec: CheckpointSpec) -> None:
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise TrainingError(
                f"{spec.model.name}: {name} holds values that are no finite numbers, without any training; "
                "nothing was stored. Look at how the network sets its weights"
            )


def _exhausted(plan: Plan, parent: Checkpoint) -> Made:
    """Make a checkpoint of a step that had nothing to remove: the parent's weights, not trained again."""
    update = {
        "exhausted": True,
        "accuracy_pruned": parent.metrics.accuracy,
        "prune_s": 0.0,
        "train_s": 0.0,
        "train_outside_s": 0.0,
        "train_losses": (),
        "created": _now(),
    }
    return Made(plan, parent.weights(), parent.metrics.model_copy(update=update))


def _weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
