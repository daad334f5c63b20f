"""What a reader of the verdicts should know about the two runs as wholes, a line each."""

from collections.abc import Iterator

from pruning_core.gate.comparability import Comparability, differing_facts
from pruning_core.gate.dense_roofline import NEEDED
from pruning_core.gate.result import CellKey
from pruning_core.records.run import Run
from pruning_core.records.score import ACCURACY, measure_of


def notes_on(baseline: Run, new: Run, context: Comparability, cells: list[CellKey]) -> Iterator[str]:
    """Walk over the notes.

    Args:
        baseline: The run before.
        new: The run now.
        context: What holds for the two runs as wholes.
        cells: Suite and id of every cell of either run.
    """
    yield from (f"of the baseline, {note}" for note in baseline.notes)
    yield from new.notes
    has_times = any(record["suite"] == "latency" for record in new.records)
    if context.machine_difference:
        yield f"times were not compared, the rest was: {context.machine_difference}"
        if context.policy.on_other_machine != "skip":
            yield 'to gate the rest only, set on_other_machine = "skip" in the policy'
    elif has_times:
        yield from dict(differing_facts(baseline.machine, new.machine)).values()
    if has_times:
        yield from _notes_on_times(baseline, new, context)
    retrained = _retrained_checkpoints(baseline, new)
    if retrained:
        measures = {measure for record in new.records if (measure := measure_of(record))} or {ACCURACY}
        what = "their accuracy also carries" if measures == {ACCURACY} else "their scores also carry"
        yield (f"{retrained} checkpoints were retrained (their keys differ): {what} the noise of training")
    for pattern in context.policy.unmatched(cells):
        yield f"the policy's pattern {pattern!r} matches no cell"


def _notes_on_times(baseline: Run, new: Run, context: Comparability) -> Iterator[str]:
    yield _on_common_slowdowns(baseline, new, context)
    difference = context.state_difference(baseline.records, new.records)
    if difference and not context.machine_difference:
        yield (
            f"{difference} since the baseline: small networks gain or lose by that, and a regression may be "
            "hidden. Measure the run with the higher latency again"
        )
    if not any(record.get("is_control") for record in new.records):
        yield "this run has no A/A control: nothing says whether its times can be trusted"


def _on_common_slowdowns(baseline: Run, new: Run, context: Comparability) -> str:
    text = "a slow-down that hits dense and pruned models alike does not show in speed-ups: "
    if context.machine_difference:
        return text + "between unlike machines this gate cannot see it"
    for which, run in (("the baseline", baseline), ("this run", new)):
        if not any(r.get("is_control") and all(name in r for name in NEEDED) for r in run.records):
            return (
                text + f"{which} has no roofline to compare the dense model with, so this gate cannot see it"
            )
    return (
        text + "it is looked for in the dense eager model, against this machine's own roofline; where it "
        "slows matrix products as well, this gate cannot see it"
    )


def _retrained_checkpoints(baseline: Run, new: Run) -> int:
    keys = {(r["suite"], r["cell"]): r.get("key") for r in baseline.records}
    changed = {
        r.get("key")
        for r in new.records
        if (i := (r["suite"], r["cell"])) in keys and keys[i] != r.get("key")
    }
    return len(changed)
