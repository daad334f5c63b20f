"""Options that say what a pruned network is to reach, in place of ratios; the same for `plan` and `prepare`.

They are gathered by `asked_targets`, so that a command need not name each as a parameter of its own.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pruning_core.config.target_kinds import KINDS
from pruning_core.errors import OptionError

if TYPE_CHECKING:
    from pruning_core.config.grid import Grid

_META = "pruning_core.targets"
SEARCH_AGAIN = "search_again"


def _gather(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        context.meta.setdefault(_META, {})[parameter.name] = value


def _option(*names: str, **attributes: Any) -> Callable[..., Any]:
    return click.option(*names, expose_value=False, callback=_gather, **attributes)


_OPTIONS = (
    *(
        _option(f"--{key.replace('_', '-')}", metavar="LIST", help=f"In place of --ratios: {kind.allowed}.")
        for key, kind in KINDS.items()
    ),
    _option(
        "--on",
        "target_on",
        metavar="BACKEND",
        help="Of a target of time: the backend, such as openvino:int8.",
    ),
    _option(
        "--batch-size",
        "target_batch_size",
        type=click.IntRange(1),
        help="Of a target of time: examples in a call (default: 1).",
    ),
    _option(
        "--search-again",
        SEARCH_AGAIN,
        is_flag=True,
        default=None,
        help="Look for the ratios again, whatever was found before.",
    ),
)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is to be reached."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked_targets() -> dict[str, Any]:
    """Return what was asked for in this command: field of a grid → value; nothing where no target is.

    Raises:
        OptionError: If ratios are named too, or an option belongs to targets and there are none.
    """
    context = click.get_current_context()
    fields = {k: v for k, v in context.meta.get(_META, {}).items() if k != SEARCH_AGAIN}
    targets = [key for key in KINDS if key in fields]
    if targets and context.get_parameter_source("ratios") == ParameterSource.COMMANDLINE:
        option = f"--{targets[0].replace('_', '-')}"
        raise OptionError(f"--ratios and {option}: give one of them; a target finds the ratio itself")
    return fields


def search_again() -> bool:
    """Return whether what was found before does not count."""
    return bool(click.get_current_context().meta.get(_META, {}).get(SEARCH_AGAIN))


def with_targets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a grid with the targets that were asked for; they take the place of ratios."""
    asked = asked_targets()
    replaced = any(key in asked for key in KINDS)
    return {**{k: v for k, v in settings.items() if not (replaced and k == "ratios")}, **asked}


def with_found_ratios(
    grid: "Grid", classes: int | None, image: tuple[int, int, int] | None, otherwise: int, download: bool
) -> "Grid":
    """Return a grid with the ratios that meet its targets, for `plan`; as it is where it has none.

    Args:
        grid: Of one network and one method where it has targets.
        classes: Of the last layer; None: of the weights.
        image: Shape of one image; None: the network's own.
        otherwise: Classes where nothing tells.
        download: Whether weights may be downloaded.

    Raises:
        OptionError: If there are several networks or methods, or no target can be met; it says what can.
    """
    from pruning_core.suites.validate import check_targets

    check_targets(grid, trains=False)
    if not grid.targets:
        if search_again():
            from pruning_core.suites.target_search import require_targets

            require_targets(again=True)
        return grid
    (model, *others), (name, *further) = grid.model, grid.method
    if others or further or any(sign in model for sign in "*?["):
        raise OptionError(
            "targets: plan finds the ratios of one network and one method at a time; got "
            f"--model {','.join(grid.model)} --method {','.join(grid.method)}"
        )
    import torch

    from pruning_core.models import build_model, default_image, model_spec
    from pruning_core.models.weights import classes_for
    from pruning_core.progress import ProgressDisplay
    from pruning_core.shapes.pruned import PrunedShapes
    from pruning_core.store import Store, default_root
    from pruning_core.suites.target_search import Search, require_reached, search_network

    display, shape = ProgressDisplay(), image or default_image(model) or (3, 32, 32)
    weights = grid.weights_of(model)
    if weights is not None:
        classes = classes_for(model, weights, classes, otherwise, shape, download)
    asked = (model, classes or otherwise, shape)
    search = Search(Store(default_root(), display.say).root, display, search_again())
    dense, example = build_model(*asked), torch.zeros(1, *shape)
    shapes = PrunedShapes(dense, grid.method_spec(name), example)
    found = search_network(grid, model_spec(*asked), shapes, f"{model}, {name}", search)
    require_reached(found)
    ratios = sorted({item.ratio for item in found if item.reached and item.ratio})
    return grid.model_copy(update={"ratios": tuple(ratios)})
