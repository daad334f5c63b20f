"""A rule of the gate, as a change and what must be said of it. Not for: the rules (`gate_cases.py`)."""

from dataclasses import KW_ONLY, dataclass

from pruning_core.gate.policy import Policy, Tolerances
from tests.helpers.gate_changes import Change, unchanged

DEFAULT = Policy()
TWO_POINTS = Policy(Tolerances(max_accuracy_drop=0.02))
NINE_IMAGES = Policy(Tolerances(max_accuracy_drop=0.025))
SKIP_TIMES = Policy(on_other_machine="skip")
INT8_LOOSE = Policy(overrides=(("latency/*-onnxruntime-*", {"slowdown": 0.5}),))


@dataclass(frozen=True)
class Case:
    """A change to one run or both, and what the gate must say of a cell and of the run."""

    name: str
    cell: tuple[str, str]
    _: KW_ONLY
    verdict: str
    exit_code: int
    words: str = ""
    new: Change = unchanged
    baseline: Change = unchanged
    policy: Policy = DEFAULT
