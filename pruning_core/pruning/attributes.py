"""The plain numbers that modules keep, such as a width, and what a cut changes of them."""

from typing import Any

from torch import nn

from pruning_core.pruning.base import Attributes, Plain


def is_plain(value: object) -> bool:
    """Tell whether a module's attribute is a number, a truth value or a tuple of whole numbers."""
    return type(value) in (bool, int, float) or (
        isinstance(value, tuple | list) and len(value) > 0 and all(type(item) is int for item in value)
    )


def changed_attributes(before: nn.Module, after: nn.Module) -> dict[str, dict[str, tuple[Plain, Plain]]]:
    """Return the plain attributes of modules that a cut changed.

    Args:
        before: The network that was cut.
        after: A copy of it, cut.
    """
    modules = dict(after.named_modules(remove_duplicate=False))
    found: dict[str, dict[str, tuple[Plain, Plain]]] = {}
    for name, module in before.named_modules(remove_duplicate=False):
        values = vars(modules[name])
        for attribute, old in vars(module).items():
            new = values.get(attribute)
            if attribute != "training" and is_plain(old) and is_plain(new) and old != new:
                found.setdefault(name, {})[attribute] = (_stored(old), _stored(new))
    return found


def merged_attributes(earlier: Attributes, then: Attributes) -> dict[str, dict[str, tuple[Plain, Plain]]]:
    """Return what two cuts changed, one after the other."""
    merged = {name: dict(attributes) for name, attributes in earlier.items()}
    for name, attributes in then.items():
        for attribute, (old, new) in attributes.items():
            known = merged.setdefault(name, {})
            known[attribute] = (known[attribute][0] if attribute in known else old, new)
    return merged


def _stored(value: Any) -> Plain:
    plain: Plain = tuple(value) if isinstance(value, tuple | list) else value
    return plain
