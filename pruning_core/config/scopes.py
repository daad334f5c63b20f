"""Which channels are ranked together."""

from typing import Literal, get_args

Scope = Literal["local", "global", "isomorphic"]
"""Those of one layer; those of all; those of all layers whose groups have the same structure."""

SCOPES: tuple[str, ...] = get_args(Scope)
