"""Methods whose dense network is trained on with a penalty before the cut (`chain/regularized.py`)."""

from abc import ABC
from typing import ClassVar

from pruning_core.pruning.penalty import Penalty


class PreparedMethod(ABC):
    """What such a method has beside its ranking."""

    penalty: ClassVar[type[Penalty]]
    ranks_as: ClassVar[str]
    """The method that ranks alike, and is not prepared for."""
