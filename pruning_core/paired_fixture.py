"""The pytest fixture `paired`: a test that one network, or any callable, is faster than another.

A project asks for it in its conftest.py, in pytest's root folder; it adds no option:

    pytest_plugins = ["pruning_core.paired_fixture"]

`pruning_core.pytest_plugin` brings it along. A test then says

    def test_pruned_is_faster(paired):
        paired(dense, pruned, images).assert_faster(at_least=1.5)

and passes or fails where the interval lies beyond 1.5. Where it does not, or pytest-xdist runs other tests
meanwhile, the comparison is inconclusive: the test is skipped, and the summary names it. The ini key
`paired_inconclusive` makes that `fail` or `xfail`. PYTEST_DONT_REWRITE: it may be imported already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol, cast, get_args

import pytest

if TYPE_CHECKING:
    import torch

    from pruning_core.api.comparison import Comparison

Inconclusive = Literal["skip", "xfail", "fail"]

INI_KEY = "paired_inconclusive"

PROPERTY = "paired"
"""User property of a test's report: a comparison in one line; in JUnit XML, too."""

INCONCLUSIVE = "inconclusive: "

UNDER_XDIST = "nothing is timed while pytest-xdist runs other tests beside it; run it with -n 0"


@dataclass(frozen=True)
class PairedComparison:
    """What `paired(reference, candidate)` returns; it was measured already."""

    comparison: Comparison | None  # None: under pytest-xdist
    inconclusive: Inconclusive
    note: Callable[[str], None]

    def assert_faster(self, at_least: float = 1.0) -> None:
        """Pass, fail, or be inconclusive.

        Args:
            at_least: Speed-up that the candidate must have; below 1 it may be that much slower.
        """
        __tracebackhide__ = True
        if self.comparison is None:
            self._end_inconclusive(UNDER_XDIST)
        enough = self.comparison.is_at_least(at_least)
        if enough is None:
            self._end_inconclusive(f"{at_least:g}× is neither reached nor missed; {self.comparison}")
        self.note(str(self.comparison))
        if not enough:
            pytest.fail(f"not {at_least:g}× as fast as the reference; {self.comparison}")

    def _end_inconclusive(self, reason: str) -> NoReturn:
        __tracebackhide__ = True
        line = INCONCLUSIVE + reason
        self.note(line)
        if self.inconclusive == "skip":
            pytest.skip(line)
        if self.inconclusive == "xfail":
            pytest.xfail(line)
        pytest.fail(line)


class Paired(Protocol):
    """The fixture `paired`, for annotations; its arguments are those of `pruning_core.api.compare`."""

    def __call__(
        self,
        reference: Callable[..., object],
        candidate: Callable[..., object],
        inputs: object = None,
        *,
        device: str | torch.device | None = None,
        threads: int | None = None,
        target_error: float = 0.02,
        tolerance: float = 0.05,
        time_limit_s: float = 10.0,
    ) -> PairedComparison:
        """Measure a pair."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add one key of the ini file, and no option: none can clash."""
    parser.addini(INI_KEY, f"an inconclusive comparison: {', '.join(get_args(Inconclusive))}", default="skip")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a wrong ini key in one line."""
    _inconclusive(config)


@pytest.fixture
def paired(request: pytest.FixtureRequest) -> Paired:
    """Measure one network, or any callable, in pairs with another: `paired(a, b, inputs).assert_faster()`."""

    def note(line: str) -> None:
        request.node.user_properties.append((PROPERTY, line))

    def measure(
        reference: Callable[..., object],
        candidate: Callable[..., object],
        inputs: object = None,
        *,
        device: str | torch.device | None = None,
        threads: int | None = None,
        target_error: float = 0.02,
        tolerance: float = 0.05,
        time_limit_s: float = 10.0,
    ) -> PairedComparison:
        from pruning_core.api.comparing import compare

        found = None
        if not hasattr(request.config, "workerinput"):
            found = compare(
                reference,
                candidate,
                inputs,
                device=device,
                threads=threads,
                target_error=target_error,
                tolerance=tolerance,
                time_limit_s=time_limit_s,
            )
        return PairedComparison(found, _inconclusive(request.config), note)

    return measure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the comparisons that were inconclusive: a skipped test alone is easily overlooked."""
    lines = [
        f"{report.nodeid}: {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY and str(value).startswith(INCONCLUSIVE)
    ]
    if lines:
        terminalreporter.section("paired")
        for line in lines:
            terminalreporter.line(line)


def _inconclusive(config: pytest.Config) -> Inconclusive:
    chosen = str(config.getini(INI_KEY)).strip()
    if chosen not in get_args(Inconclusive):
        allowed = ", ".join(get_args(Inconclusive))
        raise pytest.UsageError(f"{INI_KEY} = {chosen[:100]!r}: it must be one of {allowed}")
    return cast(Inconclusive, chosen)
