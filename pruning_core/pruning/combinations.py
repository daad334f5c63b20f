"""Which settings a method takes: what has no meaning for it is refused, in one line."""

from collections.abc import Iterable

from pruning_core.config.allocation import LATENCY_AWARE
from pruning_core.config.max_ratio import check_ratios
from pruning_core.config.spec import MethodSpec
from pruning_core.errors import OptionError
from pruning_core.pruning import find_method
from pruning_core.records.controls import architecture_of


def check_method(spec: MethodSpec, ratios: Iterable[float] = ()) -> None:
    """Refuse a scope or a limit that a method does not have, and ratios beyond that limit.

    Args:
        spec: What is asked for.
        ratios: Of its steps, where they are known.

    Raises:
        UnknownNameError: If there is no such method.
        OptionError: In one line.
    """
    method = find_method(spec.name)
    if spec.scope not in method.scopes:
        raise OptionError(f"{spec.name} has no scope {spec.scope!r}; it has: {', '.join(method.scopes)}")
    if spec.max_ratio == 1:
        return
    if method.masks:
        raise OptionError(
            f"max_ratio: {spec.name} sets weights to zero and removes no channel, so no width can be kept; "
            "leave it out, or take a method that cuts channels, such as magnitude"
        )
    if LATENCY_AWARE in (spec.name, architecture_of(spec.name)):
        raise OptionError(
            f"max_ratio: {spec.name} allocates widths by their time and takes no limit; leave it out, or "
            "protect layers"
        )
    try:
        check_ratios(spec.max_ratio, ratios)
        check_ratios(spec.max_ratio, [ratio for _, ratio in spec.ratio_of], "by ratio_of ")
    except ValueError as error:
        raise OptionError(str(error)) from None
