"""How long making a grid's checkpoints will take on this machine, said before the first training.

A few steps of the dense network and of some pruned ones are timed; ratios between those are interpolated. The
steps are the first ones of a training: a crash in them counts as one of the training.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pruning_core.chain.allocations import stand_in
from pruning_core.chain.ranking import ranking_losses
from pruning_core.chain.regularized import regularization_of
from pruning_core.chain.specs import train_spec_of, training_label, training_step_label
from pruning_core.chain.variant_specs import chain_specs
from pruning_core.config.cells import Variant
from pruning_core.config.grid import Grid
from pruning_core.config.spec import CheckpointSpec, PrunedSpec, RegularizedSpec, TrainSpec, key_of
from pruning_core.models.copying import copy_network
from pruning_core.models.inputs import run, to_device
from pruning_core.models.inspect import find_heads
from pruning_core.pruning import find_method
from pruning_core.pruning.step import prune
from pruning_core.pruning.targets import ratios_of_layers
from pruning_core.store.checkpoint import describe
from pruning_core.suites.training_speed import TrainerStep
from pruning_core.system.hardware import native_conditions
from pruning_core.tasks.base import Task
from pruning_core.training.device import resolve_device
from pruning_core.workspace import Workspace

TIMED_STEPS = 2
TIMED_RATIOS = 3

_FORWARD_SHARE = 1 / 3
"""A forward pass takes about a third of a training step: backward computes two products for its one."""


@dataclass(frozen=True)
class _Sample:
    """What was timed of one network."""

    ratio: float
    step_s: float
    prune_s: float
    images: int  # in a step


def announce(variants: Iterable[Variant], grid: Grid, workspace: Workspace) -> None:
    """Say how many checkpoints will be made and about how long it takes; nothing if all are stored.

    Raises:
        OptionError: If a pattern of layers matches none.
        CrashError: If processes have died at the first steps of a training too often.
    """
    missing = missing_specs(variants, grid, workspace)
    seconds = 0.0
    networks: dict[tuple[str, str], list[tuple[Variant, CheckpointSpec]]] = {}
    for variant, spec in missing:
        networks.setdefault((spec.model.name, spec.dataset.fingerprint), []).append((variant, spec))
    with workspace.display.waiting_for("time a few training steps"):
        for pairs in networks.values():
            task = workspace.task(pairs[0][0])
            seconds += _seconds_for([spec for _, spec in pairs], task, workspace)
    if missing:
        count = f"{len(missing)} checkpoint{'s' if len(missing) > 1 else ''}"
        workspace.display.say(f"making {count} takes about {in_words(seconds)} on this machine")


def missing_specs(
    variants: Iterable[Variant], grid: Grid, workspace: Workspace
) -> list[tuple[Variant, CheckpointSpec]]:
    """Return the specs that are not stored and have to be made, each once, with a variant that needs it."""
    found: dict[str, tuple[Variant, CheckpointSpec]] = {}
    for variant in variants:
        for spec in reversed(chain_specs(variant, grid, workspace)):
            key = key_of(spec)
            if workspace.store.has(key):
                break  # a finished checkpoint needs no parent any more
            found.setdefault(key, (variant, spec))
    return sorted(found.values(), key=lambda pair: _ratio_of(pair[1]))


def in_words(seconds: float) -> str:
    """Return a time in words: seconds, then minutes, then hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def _seconds_for(specs: Sequence[CheckpointSpec], task: Task, workspace: Workspace) -> float:
    """Estimate the seconds for the specs of one network on one dataset, in the order of their ratios."""
    dense = task.build(specs[0].model.name)
    _check_patterns(specs, dense, task)
    task.check(dense)
    trained = next((spec for spec in specs if train_spec_of(spec).epochs), specs[0])
    timed_dense = _time_steps(trained, dense, dense, task, workspace, ratio=0.0)
    total_s = 0.0
    of_methods: dict[str, list[PrunedSpec]] = {}
    for spec in specs:
        if isinstance(spec, PrunedSpec):
            of_methods.setdefault(spec.method.name, []).append(spec)
        elif isinstance(spec, RegularizedSpec):
            sample = _time_steps(spec, dense, dense, task, workspace, ratio=0.0)
            total_s += _cost(spec, sample, timed_dense, task)
        else:
            total_s += _cost(spec, timed_dense, timed_dense, task)
    known: dict[tuple[Any, ...], _Sample] = {}  # methods that cut to the same widths take as long
    for name, pruned in of_methods.items():
        samples = [timed_dense]
        if not find_method(name).masks:
            for spec in _spread([spec for spec in pruned if spec.ratio < 1], TIMED_RATIOS):
                alike = _alike(spec)
                if alike not in known:
                    known[alike] = _time_steps(spec, dense, copy_network(dense), task, workspace, spec.ratio)
                samples.append(known[alike])
        for spec in pruned:
            total_s += _cost(spec, _between(samples, spec.ratio), timed_dense, task)
    return total_s


def _alike(spec: PrunedSpec) -> tuple[Any, ...]:
    """Return what decides how long pruning to a ratio and a step of training after it take."""
    method = stand_in(spec.method)
    own_widths = method.scope != "local" or method.allocation
    ranking = method.name if own_widths else "by examples" if find_method(method.name).uses_data else ""
    train = spec.fine_tune
    how = (train.batch_size, train.epochs > 0, train.precision, train.device, train.optimizer)
    return spec.ratio, method.round_to, method.protect, method.ratio_of, ranking, *how


def _check_patterns(specs: Sequence[CheckpointSpec], dense: nn.Module, task: Task) -> None:
    """Refuse patterns of layers that match none now, and not when the dense model is trained."""
    methods = {spec.method for spec in specs if isinstance(spec, PrunedSpec)}
    if any(method.protect or method.ratio_of for method in methods):
        heads = find_heads(dense, task.one())
        for method in methods:
            ratios_of_layers(dense, method, heads)


def _time_steps(
    spec: CheckpointSpec,
    dense: nn.Module,
    network: nn.Module,
    task: Task,
    workspace: Workspace,
    ratio: float,
) -> _Sample:
    """Prune a network to a ratio, if it is above 0, and time a few steps of how it will be trained.

    A network that is regularised is refused here, and not once the dense one is trained.

    Where it is never trained, it may be one that cannot be: then forward passes are timed.
    """
    train = train_spec_of(spec)
    key = key_of(spec)
    with workspace.store.attempts.begin(
        key, describe(key, spec), native_conditions(), finishes=False
    ) as attempt:
        attempt.step(training_step_label(training_label(spec), 0, train.epochs))
        prune_s, regularization = 0.0, None
        started = time.perf_counter()
        if isinstance(spec, RegularizedSpec):
            network = copy_network(network)
            regularization = regularization_of(spec, network)
            prune_s = time.perf_counter() - started
        if isinstance(spec, PrunedSpec) and ratio > 0:
            method = stand_in(spec.method)
            losses = ranking_losses(task, method, train.seed)
            prune(network, dense, method, ratio, task.one(), train.seed, losses=losses)
            prune_s = time.perf_counter() - started
        if not train.epochs:
            batch = task.extent(train).batch
            return _Sample(ratio, _time_forward(network, task, train, batch), prune_s, batch)
        with torch.random.fork_rng(devices=[]):
            step = TrainerStep(network, task, train, regularization)
            step()  # the first one allocates
            before_s = step.total_s
            for _ in range(TIMED_STEPS):
                step()
    return _Sample(ratio, (step.total_s - before_s) / TIMED_STEPS, prune_s, step.batch_size)


def _time_forward(network: nn.Module, task: Task, train: TrainSpec, batch: int) -> float:
    """Return the seconds of a step whose forward passes take as long as those of a network."""
    device = resolve_device(train)
    evaluated = copy_network(network).eval().to(device)
    inputs = to_device(task.random_inputs(batch), device)
    with torch.inference_mode():
        to_device(run(evaluated, inputs), "cpu")
        started = time.perf_counter()
        for _ in range(TIMED_STEPS):
            to_device(run(evaluated, inputs), "cpu")
    return (time.perf_counter() - started) / TIMED_STEPS / _FORWARD_SHARE


def _cost(spec: CheckpointSpec, sample: _Sample, dense: _Sample, task: Task) -> float:
    """Return the seconds that making a checkpoint takes, given what its steps take."""
    train = train_spec_of(spec)
    _, in_epoch, forward_images = task.extent(train)
    steps, step_s = train.epochs * in_epoch, sample.step_s
    if isinstance(spec, PrunedSpec):
        forward_images = 2 * forward_images + spec.fine_tune.norm_images
        if spec.fine_tune.distill_weight > 0:
            step_s += _FORWARD_SHARE * dense.step_s
    return steps * step_s + forward_images / sample.images * _FORWARD_SHARE * sample.step_s + sample.prune_s


def _between(samples: Sequence[_Sample], ratio: float) -> _Sample:
    """Interpolate between the samples whose ratios lie next to one, in the logarithm of the time."""
    below = [s for s in samples if s.ratio <= ratio]
    above = [s for s in samples if s.ratio >= ratio]
    if not below or not above:
        return (above or below)[0 if above else -1]
    a, b = below[-1], above[0]
    weight = (ratio - a.ratio) / (b.ratio - a.ratio) if b.ratio > a.ratio else 0.0
    step_s = math.exp((1 - weight) * math.log(a.step_s) + weight * math.log(b.step_s))
    return _Sample(ratio, step_s, max(a.prune_s, b.prune_s), b.images)


def _spread(specs: Sequence[PrunedSpec], count: int) -> list[PrunedSpec]:
    """Choose specs spread evenly over their order, the last among them."""
    if len(specs) <= count:
        return list(specs)
    return [specs[round((i + 1) * len(specs) / count) - 1] for i in range(count)]


def _ratio_of(spec: CheckpointSpec) -> float:
    return spec.ratio if isinstance(spec, PrunedSpec) else 0.0
