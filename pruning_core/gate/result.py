"""The result of the gate's comparison: a verdict for each cell, and one for the run."""

from collections import Counter
from dataclasses import dataclass

from pruning_core.gate.finding import CANNOT_COMPARE, INCONCLUSIVE, PASS, REGRESSED, Finding
from pruning_core.gate.policy import CODE_3
from pruning_core.records.run import Run

WORST_FIRST = (REGRESSED, CANNOT_COMPARE, INCONCLUSIVE, PASS)
EXIT_CODES = {PASS: 0, REGRESSED: 1, CANNOT_COMPARE: 2, INCONCLUSIVE: 3}

CellKey = tuple[str, str]  # suite, cell


@dataclass(frozen=True)
class CellVerdict:
    """What the gate says of a cell; or of a backend as a whole, whose suite is then `backend`."""

    suite: str
    cell: str
    verdict: str
    reason: str
    findings: tuple[Finding, ...]
    on_inconclusive: str  # what the policy does with this cell if it is inconclusive

    @property
    def changed(self) -> bool:
        """Whether anything is worth a look."""
        return self.verdict != PASS or any(finding.changed for finding in self.findings)


@dataclass(frozen=True)
class GateResult:
    """What the gate says of a run; `cells` has the worst first, then what changed."""

    baseline: Run
    new: Run
    cells: tuple[CellVerdict, ...]
    added: tuple[CellKey, ...]
    notes: tuple[str, ...]
    familywise_error: float  # chance of any false regression, at most
    comparisons: int  # noisy ones, judged together
    power: float  # of the slow-downs below
    detectable_slowdown: float | None  # in the median latency cell; inf: not with so few rounds
    detectable_slowdown_worst: float | None
    detectable_slowdown_of_backend: float | None  # as a whole, on the noisiest

    @property
    def verdict(self) -> str:
        """The verdict on the whole run, which decides the exit code."""
        verdicts = {
            cell.verdict
            for cell in self.cells
            if cell.verdict != INCONCLUSIVE or cell.on_inconclusive in CODE_3
        }
        return next((verdict for verdict in WORST_FIRST if verdict in verdicts), PASS)

    @property
    def exit_code(self) -> int:
        """The exit code that goes with the verdict."""
        return EXIT_CODES[self.verdict]

    @property
    def counts(self) -> dict[str, int]:
        """Number of cells for each verdict."""
        counted = Counter(cell.verdict for cell in self.cells)
        return {verdict: counted[verdict] for verdict in WORST_FIRST}
