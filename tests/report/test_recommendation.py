"""Constructed questions with known answers: `recommend` and the page's script give them, and each other's."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pruning_core.errors import OptionError, RecordError
from pruning_core.records.run import read_run
from pruning_core.report.build import build_report
from pruning_core.report.page import _read
from pruning_core.report.page.points import measures_in, point_columns
from pruning_core.report.recommendation.answer import Answer
from pruning_core.report.recommendation.command import Budgets, recommend
from pruning_core.report.recommendation.output import FORMATS
from pruning_core.report.recommendation.question import Question
from pruning_core.report.recommendation.ranking import Judged
from tests.helpers import record_factory as factory
from tests.helpers.made_up_choices import DENSE, content_of
from tests.helpers.made_up_scores import ERROR, two_tasks
from tests.helpers.questions import FAST, HALF, INT8, NAMES, QUESTIONS, Asked, changed, files_of
from tests.helpers.results import PUBLISHED_RUNS

NODE = shutil.which("node")
ASKED = pytest.mark.parametrize("asked", QUESTIONS.values(), ids=QUESTIONS.keys())


def answer_to(asked: Asked, folder: Path) -> Answer:
    """Ask Python."""
    return recommend(files_of(asked, folder), Question(), Budgets(**asked.limits))


def named(answer: Answer, cell: Judged | None) -> str | None:
    """Return what a cell is called."""
    return None if cell is None else answer.title(cell)


def full(name: str | None) -> str | None:
    """Return the title that a name of a question stands for."""
    return NAMES.get(name or "", name)


@ASKED
def test_a_question_gets_its_known_answer(tmp_path: Path, asked: Asked) -> None:
    """The cell, how sure it is, the next best, a tie, the closest, and why others fell out."""
    answer = answer_to(asked, tmp_path)
    assert named(answer, answer.best) == full(asked.best)
    if asked.best is not None:
        assert answer.best is not None
        assert answer.best.is_sure == asked.sure
        assert asked.second is None or named(answer, answer.second) == full(asked.second)
        assert answer.is_tie == asked.tie
        assert named(answer, answer.faster) == full(asked.faster)
        assert answer.nearest is None
    else:
        assert answer.nearest is not None
        assert named(answer, answer.nearest) == full(asked.closest[0])
        assert answer.reasons[id(answer.nearest)] == asked.closest[1]
    reasons = {answer.title(cell): answer.reasons.get(id(cell)) for cell in answer.judged}
    assert {full(name): reasons[full(name) or ""] for name in asked.reasons} == {
        full(name): reason for name, reason in asked.reasons.items()
    }
    others = [cell for cell in answer.judged if cell is not answer.best]
    assert sorted(answer.reasons) == sorted(map(id, others))  # one for each


SCRIPT = """
const { points, limits, lower } = JSON.parse(require("fs").readFileSync(0));
for (const name of ["lost", "bytes", "latency"]) limits[name] ??= Infinity;
const order = rankCells(points, limits, lower), second = order.length ? secondOf(order) : null;
const cell = (c) => c ? c.p.cell : null;
console.log(JSON.stringify({
  order: order.map(cell), sure: order.length ? order[0].crossed === 0 : null, second: cell(second),
  tie: order.length ? isTie(order[0], second) : false, faster: cell(fasterButNotSure(order)),
}));
"""


@pytest.mark.skipif(not NODE, reason="needs Node to run the page's script")
@ASKED
def test_the_pages_script_gives_the_same_answer(tmp_path: Path, asked: Asked) -> None:
    """From the points of the page its rule makes the same order, and finds the same tie and next best."""
    answer = answer_to(asked, tmp_path)
    report = build_report([read_run(path) for path in files_of(asked, tmp_path)])
    measures = measures_in(report)
    values: Any = json.loads(json.dumps(point_columns(report, measures)["values"]))
    columns = {
        name: [column["texts"][at] for at in column["at"]] if isinstance(column, dict) else column
        for name, column in values.items()
    }
    count = len(columns["cell"])
    limits = answer.limits
    told = {
        "points": [{name: items[i] for name, items in columns.items()} for i in range(count)],
        "limits": {
            "lost": limits.max_drop,
            "score": limits.score,
            "bytes": limits.max_size_bytes,
            "latency": limits.max_latency_ms,
        },
        "lower": measures[0].lower_is_better,
    }
    assert NODE
    done = subprocess.run(
        [NODE, "-e", _read("rule.js") + SCRIPT],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=True,
    )
    cells = {None: None, **{id(cell): cell.candidate.record["cell"] for cell in answer.judged}}
    assert json.loads(done.stdout) == {
        "order": [cells[id(cell)] for cell in answer.order],
        "sure": answer.best.is_sure if answer.best else None,
        "second": cells[id(answer.second)] if answer.second else None,
        "tie": answer.is_tie,
        "faster": cells[id(answer.faster)] if answer.faster else None,
    }


@pytest.mark.parametrize("path", PUBLISHED_RUNS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_published_run_gets_a_sensible_answer(path: Path) -> None:
    """Each cell is the one to ship or has a reason; what fits keeps the limits."""
    try:
        records = read_run(path).records
    except RecordError:  # the count of a selftest: no records
        return
    timed = [record for record in records if record["suite"] == "latency"]
    if not timed:
        with pytest.raises(RecordError, match="nothing was timed in these files"):
            recommend([path], Question(), Budgets())
        return
    for batch_size in {record["batch_size"] for record in timed}:
        for drop in (0.0, 0.01, 0.5):
            answer = recommend([path], Question(batch_size=batch_size), Budgets(max_drop=drop))
            count = sum(record["batch_size"] == batch_size for record in timed)
            assert len(answer.judged) == count == len(answer.reasons) + (answer.best is not None)
            assert (answer.best is None) != (answer.nearest is None)
            for cell in answer.order:
                assert cell.candidate.trusted
                assert cell.candidate.drop is not None
                assert cell.candidate.drop.value <= drop + 1e-9
                assert cell.is_sure == ((cell.candidate.drop.high or 0) <= drop + 1e-9)
            for form, write in FORMATS.items():
                text = "".join(write(answer, 100))
                assert text.endswith("\n")
                if form == "json":
                    assert len(json.loads(text)["cells"]) == count
                elif answer.best is not None:
                    assert re.search(r"^ *(### )?Ship ", text, flags=re.MULTILINE)
                    assert "pruning-bench export" in text
                else:
                    assert "closest: " in text


def test_a_choice_is_asked_for_where_there_are_several(tmp_path: Path) -> None:
    """Machines, devices, batch sizes and networks are listed in one line, each with its option."""
    here = content_of(HALF, changed(HALF, batch_size=32))
    there = content_of(HALF, machine="box-b")
    cuda = content_of(HALF, changed(HALF, device="cuda:0"))
    paths = {
        name: factory.write(content, tmp_path / f"{name}.json")
        for name, content in (("here", here), ("there", there), ("cuda", cuda))
    }
    with pytest.raises(OptionError, match=r"for one batch size; choose with --batch-size: 1, 32$"):
        recommend([paths["here"]], Question(), Budgets())
    with pytest.raises(OptionError, match=r"for one device; choose with --device: cpu, cuda:0$"):
        recommend([paths["cuda"]], Question(), Budgets())
    with pytest.raises(OptionError) as refused:
        recommend([paths["here"], paths["there"]], Question(batch_size=1), Budgets())
    text = str(refused.value)
    prints = [read_run(paths[name]).machine["fingerprint"][:8] for name in ("here", "there")]
    assert "for one machine, since milliseconds of unlike machines are not compared; choose with" in text
    for fingerprint, name, box in zip(prints, ("here", "there"), "ab", strict=True):
        assert f"{fingerprint} (box-{box} (Xeon, 8 cores): {name}.json)" in text
    for machine in (prints[1], "box-b (Xeon, 8 cores)"):
        answer = recommend(list(paths.values())[:2], Question(machine=machine), Budgets())
        assert {cell.candidate.index.file for cell in answer.judged} == {"there.json"}
    both = two_tasks(content_of(HALF), content_of(HALF, task=ERROR))
    several = factory.write(both, tmp_path / "several.json")
    with pytest.raises(OptionError, match=r"one model, dataset and kind of score; choose with --model: re"):
        recommend([several], Question(), Budgets())
    assert recommend([several], Question(model="unet"), Budgets()).limits.max_drop == 0.004
    for wrong in (Question(model="unet9"), Question(batch_size=7), Question(machine="box-z")):
        with pytest.raises(OptionError, match=r"no such cell here; there are "):
            recommend([several], wrong, Budgets())


def test_a_limit_has_to_fit_the_score(tmp_path: Path) -> None:
    """A limit of another kind of score, and a drop in percent, are refused with the one that fits."""
    plain = factory.write(content_of(HALF), tmp_path / "plain.json")
    error = factory.write(content_of(HALF, task=ERROR), tmp_path / "error.json")
    pruned = content_of(HALF, task=ERROR)
    pruned["benchmarks"] = [e for e in pruned["benchmarks"] if e["extra_info"]["method"] != "dense"]
    alone = factory.write(pruned, tmp_path / "alone.json")
    for path, budgets, said in (
        (plain, Budgets(min_score=0.5), r"--min-score does not fit the score here .*: use --min-accuracy"),
        (error, Budgets(min_accuracy=0.5), r"--min-accuracy does not fit .*: use --max-score"),
        (error, Budgets(min_score=0.5), r"--min-score does not fit .*: use --max-score"),
        (alone, Budgets(), r"the dense model was not timed: how much may be lost\? Name --max-score"),
        (
            plain,
            Budgets(max_drop=5.0),
            r"--max-drop: .* 0.005 is half a point; got 5",
        ),
    ):
        with pytest.raises(OptionError, match=said):
            recommend([path], Question(), budgets)


def test_seeds_that_were_not_timed_are_told(tmp_path: Path) -> None:
    """Accuracies of other seeds in other files say how much the cell to ship loses with them."""
    paths = [factory.write(content_of(FAST), tmp_path / "0.json")]
    for seed, lost in ((1, 3), (2, 200)):
        of_seed = {"seed": seed}
        content = content_of(changed(DENSE, more=of_seed), changed(FAST, more=of_seed, lost=lost))
        content["benchmarks"] = [e for e in content["benchmarks"] if e["extra_info"]["suite"] != "latency"]
        paths.append(factory.write(content, tmp_path / f"{seed}.json"))
    answer = recommend(paths, Question(), Budgets(max_drop=0.005))
    assert [(s.seed, s.drop.value if s.drop else None) for s in answer.seeds] == [
        (0, 0.0),
        (1, pytest.approx(0.0015)),
        (2, pytest.approx(0.1)),
    ]
    text = " ".join("".join(FORMATS["terminal"](answer, 100)).split())
    assert "3 seeds (0, 1, 2): lost 0.00 points to 10.00 points, 2 of 3 within the limit" in text


def test_answers_are_paired_across_files(tmp_path: Path) -> None:
    """Accuracies in one file and times in another give the bounds that one file of both gives."""
    whole = content_of(changed(FAST, lost=6, gained=6))
    parts = []
    for name, latency in (("accuracy", False), ("latency", True)):
        entries = [e for e in whole["benchmarks"] if (e["extra_info"]["suite"] == "latency") == latency]
        parts.append(factory.write({**whole, "benchmarks": entries}, tmp_path / f"{name}.json"))
    together = factory.write(whole, tmp_path / "whole.json")
    drops = []
    for paths in ([together], parts):
        best = recommend(paths, Question(), Budgets(max_drop=0.005)).best
        assert best is not None
        drops.append(best.candidate.drop)
    assert drops[0] == drops[1]


def test_what_stands_there_is_in_words(tmp_path: Path) -> None:
    """The terminal says limits, bounds that cross, each reason with its first cells, and the export."""
    paths = [factory.write(content_of(HALF, changed(FAST, lost=8), INT8), tmp_path / "a.json")]
    answer = recommend(paths, Question(), Budgets(max_drop=0.005, max_size_mb=2))
    text = "".join(FORMATS["terminal"](answer, 100))
    for line in (
        "resnet18 on digits: cpu, 8 threads, batch 1, box-a (Xeon, 8 cores) (a.json)",
        "  limits: lost at most 0.50 points; size at most 2.00 MB",
        "Ship magnitude 0.75, openvino int8: not sure",
        "  lost 0.00 points [-0.19 to 0.19]: sure",
        "  weights 2.83 MB in fp32, about 0.71 MB as int8: not sure, weigh the exported file",
        "Why not the other 3",
        "--to openvino --precision int8 -o resnet18-digits-magnitude-0.75-openvino-int8-cpu-b1.xml",
    ):
        assert line in text
    assert "3 larger than 2.00 MB: magnitude 0.75, openvino fp32 (2.83 MB); " in text
    markdown = "".join(FORMATS["markdown"](answer, 100))
    assert "### Ship magnitude 0.75, openvino int8: not sure\n" in markdown
    assert "```sh\npruning-bench export " in markdown


def test_what_failed_before_it_was_measured_is_no_ambiguity(tmp_path: Path) -> None:
    """A record without device, threads, batch size and time is a failed cell, whatever is asked for."""
    content = content_of(FAST)
    record = content["benchmarks"][-1]["extra_info"]
    lost = {name: record[name] for name in ("schema_version", "suite", "model", "dataset", "method", "ratio")}
    lost |= {"cell": "lost", "status": "failed", "failure": "out of memory"}
    for at in (0, len(content["benchmarks"])):
        entries = [*content["benchmarks"]]
        entries.insert(at, {**entries[0], "extra_info": lost})
        path = factory.write({**content, "benchmarks": entries}, tmp_path / "a.json")
        for question in (Question(), Question(device="cpu", batch_size=1, threads=8)):
            answer = recommend([path], question, Budgets(max_drop=0.005))
            assert named(answer, answer.best) == NAMES["fast"]
            text = "".join(FORMATS["terminal"](answer, 100))
            assert "digits: cpu, 8 threads, batch 1" in text
            assert "1 failed: lost (out of memory)" in text
        with pytest.raises(OptionError, match="no such cell here; there are cpu"):
            recommend([path], Question(device="cuda:0"), Budgets())


def test_several_files_are_told_apart(tmp_path: Path) -> None:
    """Cells of one name have their file beside it, and losses from several dense models are pointed out."""
    paths = []
    for name, right in (("a", 0), ("b", 100)):
        content = content_of(*(changed(cell, lost=right, more={"round_to": 8}) for cell in (DENSE, FAST)))
        for entry in content["benchmarks"]:
            entry["extra_info"]["key"] = entry["extra_info"]["key"][:-1] + name
        paths.append(factory.write(content, tmp_path / f"{name}.json"))
    answer = recommend(paths, Question(), Budgets(max_drop=0.005))
    assert sorted(answer.titles.values()) == [
        *(f"dense, eager fp32, {name}.json" for name in "ab"),
        *(f"magnitude 0.75, openvino fp32, {name}.json" for name in "ab"),
    ]
    text = " ".join("".join(FORMATS["terminal"](answer, 100)).split())
    assert "counted from 2 dense models, of accuracy 85.00% to 90.00%: --min-accuracy asks the same" in text


def test_too_few_images_are_said(tmp_path: Path) -> None:
    """Where not even equal answers could be sure, the number of images and the bound are told."""
    paths = [factory.write(content_of(FAST), tmp_path / "a.json")]
    text = "".join(FORMATS["terminal"](recommend(paths, Question(), Budgets(max_drop=0.001)), 200))
    assert "2000 test images are too few for that limit" in text
    assert "the bound would be 0.19 points" in text
    text = "".join(FORMATS["terminal"](recommend(paths, Question(), Budgets(max_drop=0.002)), 200))
    assert "too few" not in text
