"""Pruning methods by name. A new one is a class in a file of its own and a line in METHODS."""

from pruning_core.errors import OptionError, UnknownNameError
from pruning_core.pruning.activation import Activation
from pruning_core.pruning.base import Method
from pruning_core.pruning.block_sparse import BlockSparse
from pruning_core.pruning.bn_scale import BatchNormScale
from pruning_core.pruning.controls import DensePlus, Scratch, Thin
from pruning_core.pruning.fpgm import GeometricMedian
from pruning_core.pruning.group_norm import GroupNorm
from pruning_core.pruning.growing_reg import GrowingReg
from pruning_core.pruning.hessian import Hessian
from pruning_core.pruning.lamp import Lamp
from pruning_core.pruning.latency_aware import LatencyAware
from pruning_core.pruning.ln_structured import LnStructured
from pruning_core.pruning.magnitude import Magnitude
from pruning_core.pruning.magnitude_l1 import MagnitudeL1
from pruning_core.pruning.obdc import Obdc
from pruning_core.pruning.penalty import Penalty
from pruning_core.pruning.prepared import PreparedMethod
from pruning_core.pruning.random import Random
from pruning_core.pruning.semi_structured import SemiStructured
from pruning_core.pruning.slimming import Slimming
from pruning_core.pruning.taylor import Taylor
from pruning_core.pruning.unstructured_l1 import UnstructuredL1
from pruning_core.pruning.unstructured_random import UnstructuredRandom
from pruning_core.records.controls import architecture_of, scratch

__all__ = ["CONTROLS", "METHODS", "find_method", "find_penalty"]

METHODS: dict[str, Method] = {
    "magnitude": Magnitude(),
    "magnitude-l1": MagnitudeL1(),
    "lamp": Lamp(),
    "latency-aware": LatencyAware(),
    "bn-scale": BatchNormScale(),
    "fpgm": GeometricMedian(),
    "taylor": Taylor(),
    "hessian": Hessian(),
    "obdc": Obdc(),
    "activation": Activation(),
    "slimming": Slimming(),
    "group-norm": GroupNorm(),
    "growing-reg": GrowingReg(),
    "random": Random(),
    "unstructured-l1": UnstructuredL1(),
    "ln-structured": LnStructured(),
    "unstructured-random": UnstructuredRandom(),
    "semi-structured": SemiStructured(),
    "block-sparse": BlockSparse(),
}


CONTROLS: dict[str, Method] = {"thin": Thin(), "dense+": DensePlus()}
"""What methods are compared with, beside `random` and each method's own `scratch:METHOD`."""


def find_method(name: str) -> Method:
    """Return a method, or a control, by name.

    Raises:
        UnknownNameError: If there is none of that name.
        OptionError: If it is a control of what has none.
    """
    known = METHODS | CONTROLS
    if name in known:
        return known[name]
    of = architecture_of(name)
    if of is None:
        raise UnknownNameError("pruning method", name, [*known, scratch("magnitude")])
    if of not in METHODS:
        raise UnknownNameError("pruning method", of, METHODS)
    if METHODS[of].masks:
        raise OptionError(
            f"{name}: {of} keeps every width and sets weights to zero; a network of new weights would be the "
            "dense one. Name a method that cuts channels: scratch:magnitude"
        )
    return Scratch(METHODS[of])


def find_penalty(name: str) -> type[Penalty] | None:
    """Return what pushes channels before a method cuts them; None: it cuts the dense network as it is.

    Raises:
        UnknownNameError: If there is no method of that name.
    """
    method = find_method(name)
    return method.penalty if isinstance(method, PreparedMethod) else None
