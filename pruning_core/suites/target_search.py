"""Turn the targets of a grid into ratios: search, or take what was found before; say what was found."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pruning_core.backends import check_available
from pruning_core.config.cells import DENSE, Variant, dataset_labels
from pruning_core.config.grid import Grid
from pruning_core.config.parse import parse_backend
from pruning_core.config.searched_grid import FoundRatio, SearchedGrid
from pruning_core.config.spec import ModelSpec
from pruning_core.config.target_kinds import Target
from pruning_core.errors import OptionError
from pruning_core.models.inputs import tensors_of
from pruning_core.progress import ProgressDisplay
from pruning_core.pruning import find_method
from pruning_core.pruning.step import extent_of
from pruning_core.records.controls import DENSE_PLUS, architecture_of
from pruning_core.shapes.pruned import PrunedShapes
from pruning_core.shapes.targets import SEARCH_VERSION, TimeShapes, find_for_counts, find_for_times, time_in
from pruning_core.shapes.timing import Setting
from pruning_core.store.found_ratios import FoundRatios, Question
from pruning_core.suites.trained_shapes import trained_shapes
from pruning_core.system.machine import describe_machine
from pruning_core.workspace import Workspace


@dataclass(frozen=True)
class Search:
    """Where what is found is kept, who is told, and whether to look again."""

    root: Path  # of the store
    display: ProgressDisplay
    again: bool = False  # what was found before does not count
    time: TimeShapes = time_in  # another one in tests
    searched: set[str] = field(default_factory=set)  # questions: methods of equal shapes share an answer


def search_grid(grid: Grid, workspace: Workspace, search: Search) -> Grid:
    """Return the grid with ratios in place of its targets; as it is where it has none.

    Args:
        grid: Checked by `validate_grid`.
        workspace: Has the datasets and tasks.
        search: Where and how.

    Raises:
        OptionError: If no target can be met; it says what can. If it is to look again, without a target.
        BackendError: If the backend cannot run a network.
    """
    if not grid.targets:
        require_targets(search.again)
        return grid
    labels = dataset_labels(grid.data)
    found: list[tuple[tuple[str, str, str], FoundRatio]] = []
    for model in grid.model:
        for data in grid.data:
            variant = Variant(model, data, DENSE, 0.0, labels[data], grid.task, next(iter(grid.seeds), None))
            task = workspace.task(variant)
            for name in _searched(grid):
                spec, method = task.model_spec(model), grid.method_spec(name)
                if method.scope == "local":
                    shapes, weights = PrunedShapes(task.build(model), method, task.one()), ""
                else:
                    shapes, weights = trained_shapes(variant, method, grid, workspace)
                label = ", ".join([model, *([labels[data]] if len(grid.data) > 1 else []), name])
                for item in search_network(grid, spec, shapes, label, search, weights):
                    found.append(((model, data, name), item))
    require_reached([item for _, item in found])
    return SearchedGrid.of(grid, tuple(found))


def search_network(
    grid: Grid,
    spec: ModelSpec,
    shapes: PrunedShapes,
    label: str,
    search: Search,
    weights: str = "",
) -> list[FoundRatio]:
    """Find the ratios that meet a grid's targets for one network and method, and say each.

    Args:
        grid: Has the targets, and where those of time are to be met.
        spec: Of the network.
        shapes: What it can be pruned to, by the method.
        label: Both in words.
        search: Where and how.
        weights: Key of the dense checkpoint, where the shapes depend on it.
    """
    kept = FoundRatios(search.root, search.display.say)
    setting = setting_of(grid)
    found: dict[Target, tuple[FoundRatio, bool]] = {}
    for timed in (True, False):
        targets = [target for target in grid.targets if target.kind.timed == timed]
        if not targets:
            continue
        question = _question(spec, shapes, setting if timed else None, weights)
        with kept.searching(question):
            asked = json.dumps(question, sort_keys=True)
            known = {} if search.again and asked not in search.searched else kept.load(question)
            search.searched.add(asked)
            missing = [target for target in targets if target not in known]
            if missing and timed:
                assert setting is not None
                check_available(setting.backend, setting.precision, setting.device)
                new = find_for_times(shapes, missing, setting, search.display, label, search.time)
            else:
                new = find_for_counts(shapes, missing) if missing else []
            if new:
                kept.keep(question, new)
        found |= {target: (known[target], True) for target in targets if target in known}
        found |= {item.target: (item, False) for item in new}
    for item, before in found.values():
        search.display.say(f"{label}: {describe(item, before)}")
    return [item for item, _ in found.values()]


def _searched(grid: Grid) -> list[str]:
    """Return the methods that ratios are searched for: of controls those whose networks they take."""
    named = [architecture_of(name) or name for name in grid.method if name != DENSE_PLUS]
    if not named:
        raise OptionError(f"targets: {DENSE_PLUS} removes nothing; name a method beside it")
    return list(dict.fromkeys(named))


def require_targets(again: bool) -> None:
    """Refuse to look again where there is nothing to look for.

    Raises:
        OptionError: In one line.
    """
    if again:
        raise OptionError(
            "--search-again: there is no target to search a ratio for; name one, --target-macs 4x"
        )


def setting_of(grid: Grid) -> Setting | None:
    """Return where targets of time are to be met; None where there are none."""
    if not grid.target_on:
        return None
    backend, precision = parse_backend(grid.target_on)
    return Setting(backend, precision, grid.target_batch_size or 1, grid.devices[0], grid.threads[0])


def describe(found: FoundRatio, before: bool = False) -> str:
    """Say in a line which ratio meets a target, or that none does and what comes nearest."""
    says = f"{found.wanted}: {found.how} gives {found.got}"
    if not found.reached:
        says = f"{found.wanted} is out of reach: {found.how} gives {found.got}, and nothing comes nearer"
    if found.contention:
        says += f"; timed while other work disturbed it ({found.contention})"
    return f"{says} (found before: --search-again looks again)" if before else says


def require_reached(found: Sequence[FoundRatio]) -> None:
    """Raise where no target at all can be met.

    Raises:
        OptionError: With what comes nearest to each.
    """
    if not any(item.reached for item in found):
        lines = "\n  ".join(dict.fromkeys(describe(item) for item in found))
        raise OptionError(
            f"no target can be met; ask for less, for another backend or batch size, or round widths less "
            f"(round_to)\n  {lines}"
        )


def _question(spec: ModelSpec, shapes: PrunedShapes, setting: Setting | None, weights: str) -> Question:
    """Return all that what is found depends on: no weights with local scope, and no order of ratios."""
    dense = json.dumps(sorted(extent_of(shapes.dense).shapes.items()))
    where = {} if setting is None else asdict(setting)
    return {
        "search": SEARCH_VERSION,
        "machine": describe_machine(setting.threads)["fingerprint"] if setting is not None else "",
        "setting": where,
        "model": spec.model_copy(update={"weights_sha256": "", "new_head": False}).model_dump(mode="json"),
        "dense": hashlib.sha256(dense.encode()).hexdigest(),
        "inputs": [list(tensor.shape) for tensor in tensors_of(shapes.example)],
        "method": shapes.method.model_dump(mode="json"),
        "library": find_method(shapes.method.name).library_version(),
        **({"weights": weights} if weights else {}),
    }
