"""What records say of targets, in lines for people: the end of a run and its report say the same."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pruning_core.records.targets import INCONCLUSIVE

SEPARATOR = "; "
"""Between targets that one ratio was found for."""


def target_lines(records: Iterable[Mapping[str, Any]], *, named: bool) -> Iterator[str]:
    """Yield a line for each target that a record judges: met or not, and what was reached.

    Args:
        records: Those without a target say nothing.
        named: Whether a line names network, dataset and method too.
    """
    judged = [record for record in records if record.get("target")]
    several = len({record.get("seed") for record in judged}) > 1
    for record in judged:
        ratio = f"ratio {record['ratio']:g}" if record["ratio"] else "dense"
        names = (str(record.get(name, "")) for name in ("model", "dataset", "method")) if named else ()
        where = " ".join([*names, ratio, *([f"seed {record.get('seed')}"] if several else [])])
        columns = (record.get(name, "").split(SEPARATOR) for name in _FIELDS)
        for target, met, reached in zip(*columns, strict=False):
            verdict = INCONCLUSIVE if record.get("contaminated") else met
            why = ", times are contaminated" if record.get("contaminated") else ""
            yield f"target {target}: {verdict}{why} ({where} reaches {reached})"


_FIELDS = ("target", "target_met", "target_reached")
