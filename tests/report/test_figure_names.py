"""Names in figures are shown as they are, whatever signs they hold and however long they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pruning_core.cli import cli
from pruning_core.report.command import write_report
from pruning_core.selftest.latency_figure import draw_groups
from pruning_core.selftest.latency_summary import group_trials, read_summary
from tests.helpers import record_factory as factory
from tests.helpers.results import published_run

NAMES = [
    "$$",
    "$x$",
    "a_b^c",
    "\\frac{1}{2}",
    "$\\frac{$",
    "_hidden",
    "50 % {x} \\$",
    "日本語",
    "a\nb",
    "x" * 200,
]


def named(name: str, *fields: str) -> dict[str, Any]:
    """Return a run in which models, data sets or methods have a name."""
    backends = ("eager:fp32", "onnxruntime:fp32")
    content = factory.make_content(ratios=(0.5,), backends=backends, batch_sizes=(1,))
    for entry in content["benchmarks"]:
        info = entry["extra_info"]
        for field in fields:
            if field != "method" or info["method"] != "dense":
                info[field] = name
    return content


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_formulas(tmp_path: Path, name: str) -> None:
    """Dollar signs, underscores, backslashes and letters that the font lacks are drawn without a word."""
    content = named(name, "model", "dataset", "method")
    content["machine_info"]["pruning_bench"]["name"] = name
    path = factory.write(content, tmp_path / "run$_$.json")
    write_report([path], "svg", tmp_path / "out.svg")
    assert (tmp_path / "out.svg").stat().st_size > 1000


def test_a_title_of_dollars_is_shown(tmp_path: Path) -> None:
    """The option --dataset-title takes dollar signs as they are, and they stand in the figure."""
    path = factory.write(factory.make_content(ratios=(0.5,)), tmp_path / "run.json")
    out = tmp_path / "out.svg"
    arguments = [
        "report",
        str(path),
        "--format",
        "svg",
        "-o",
        str(out),
        "--dataset-title",
        "digits=Digits $$",
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.exception
    assert re.search(r"resnet18 on Digits \$\$, magnitude", out.read_text())


def test_names_with_an_underscore_stand_in_the_legend(tmp_path: Path) -> None:
    """A method or file whose name begins with an underscore is not left out."""
    first = named("_one", "method")
    second = named("_two", "method")
    paths = [factory.write(c, tmp_path / f"_{i}.json") for i, c in enumerate((first, second))]
    out = tmp_path / "out.svg"
    write_report(paths, "svg", out)
    text = out.read_text()
    assert "<!-- _one -->" in text
    assert "<!-- _two -->" in text


def test_the_self_tests_figure_takes_any_machine(tmp_path: Path) -> None:
    """A machine's name with dollar signs is drawn as it is."""
    path = tmp_path / "trials.json"
    content = json.loads((published_run("selftest-latency")).read_text())
    content["trials"] = content["trials"][:20]
    path.write_text(json.dumps(content))
    trials, _ = read_summary(path)
    draw_groups(group_trials(trials), tmp_path / "out.svg", "$box_1$ $")
    assert "$box_1$ $" in (tmp_path / "out.svg").read_text()
