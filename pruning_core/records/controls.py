"""Controls: what a method is compared with, that chooses no channels. They stand among the methods of a grid.

Without them a table says which method is better than another, and not whether any is worth its while.
"""

DENSE = "dense"
"""What all are compared with: nothing is pruned."""

DENSE_PLUS = "dense+"
"""The dense network, fine-tuned as often as a chain fine-tunes: what the further epochs alone are worth."""

THIN = "thin"
"""The dense network's family at uniform width, with new weights, trained for all epochs of a chain."""

_SCRATCH = "scratch:"


def scratch(method: str) -> str:
    """Return the name of a method's control: its networks, with new weights."""
    return f"{_SCRATCH}{method}"


def architecture_of(method: str) -> str | None:
    """Return which method a `scratch:METHOD` has its networks from; None: it is no such control."""
    return method.removeprefix(_SCRATCH) if method.startswith(_SCRATCH) else None


def has_new_weights(method: str) -> bool:
    """Tell whether a control's networks are trained from new weights, and not fine-tuned."""
    return method == THIN or architecture_of(method) is not None


def is_control(method: str) -> bool:
    """Tell whether a name among the methods of a grid is that of a control."""
    return method == DENSE_PLUS or has_new_weights(method)
