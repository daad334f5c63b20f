"""The page in a real browser: it draws, sorts and filters, and its budgets and notes work."""

import json
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.command import write_report
from pruning_core.report.recommendation.command import Budgets, recommend
from pruning_core.report.recommendation.question import Question
from tests.helpers import record_factory as factory
from tests.helpers.made_up_scores import ERROR, score_content, two_tasks
from tests.helpers.page_in_browser import EVIL, NEEDS_BROWSER, best_of, run, set_value
from tests.helpers.questions import QUESTIONS, files_of

pytestmark = NEEDS_BROWSER


def test_it_draws_without_a_word_on_the_console_or_a_request(page: Any) -> None:
    """Charts are there, the console is silent, and nothing but the file itself was asked for."""
    assert run(page, "document.querySelectorAll('#by-latency .point').length") == 16
    assert run(page, "document.querySelectorAll('#by-ratio .point').length") == 12
    assert run(page, "document.querySelectorAll('#by-macs .point').length") == 16
    assert run(page, "document.querySelectorAll('.front').length") == 2
    assert run(page, "document.querySelectorAll('#widths line').length") > 4
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # Chrome's own first tab may still ask for its icons; a request names the document that makes it.
    ours = [m["request"]["url"] for m in asked if not m["documentURL"].startswith("chrome:")]
    assert ours
    assert [url for url in ours if not url.startswith(("data:", "file:"))] == []


def test_a_name_with_markup_is_shown_as_text(page: Any) -> None:
    """The model's name stands in the table and in the list, and nothing of it was obeyed."""
    assert run(page, "document.querySelectorAll('img').length") == 0
    assert EVIL in run(page, "document.getElementById('cells').textContent")
    assert EVIL in run(page, "document.getElementById('group').textContent")
    assert page.title == "pruning-bench report"


def test_the_table_sorts_and_filters(page: Any) -> None:
    """A click on a heading sorts by exact numbers, another turns the order; words leave fewer cells."""

    def column(number: int) -> list[str]:
        found: list[str] = run(
            page,
            f"[...document.querySelectorAll('#cells tbody tr')].map(r => r.cells[{number}].firstChild.data)",
        )
        return found

    at = run(page, "DATA.columns.findIndex(c => c.id === 'score')")
    button = f"document.querySelectorAll('#cells th button')[{at}]"
    page.execute_script(f"{button}.click()")
    up = [float(text) for text in column(at)]
    page.execute_script(f"{button}.click()")
    down = [float(text) for text in column(at)]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert up != down
    assert (
        run(page, f"document.querySelectorAll('#cells th')[{at}].getAttribute('aria-sort')") == "descending"
    )
    set_value(page, "filter", "bf16 0.50 cpu")
    assert set(column(4)) == {"eager bf16"}
    assert set(column(3)) == {"0.50"}
    assert run(page, "document.getElementById('count').textContent") == "2 of 64 cells"


def test_budgets_leave_the_best_cell(page: Any) -> None:
    """A point may be lost at first, at batch 1; any number, or none, is a budget; what is beyond is grey."""
    assert run(
        page, "[document.getElementById('batch').value, document.getElementById('max-lost').value]"
    ) == [*("1", "1.0")]
    assert "Fastest cell within the budgets: magnitude 0.25" in best_of(page)
    assert "; faster, but not sure: it may lose 2.42 points: magnitude 0.50" in best_of(page)
    assert run(page, "chosen().filter(fits).every(p => p.lost <= 0.01)") is True
    set_value(page, "max-lost", "")
    assert "magnitude 0.75" in best_of(page)
    set_value(page, "max-lost", -0.25)  # more accurate than the dense model
    assert "magnitude 0.25" in best_of(page)
    assert ", not sure: it may lose 0.78 points" in best_of(page)
    assert run(page, "document.querySelectorAll('#by-latency .out').length") > 0
    assert run(page, "document.querySelectorAll('#by-latency .best').length") == 1
    set_value(page, "max-latency", 0)
    assert best_of(page) == "No cell fits the budgets."


def test_the_bound_of_a_latency_is_what_counts(page: Any) -> None:
    """A budget between a latency and its upper bound leaves the cell out; the page says the bound."""
    latency, high = run(page, "[state.best.latency, state.best.latency_high]")
    first = best_of(page)
    assert f"at most {run(page, f'short({high})')} ms" in first
    assert f"at least {run(page, 'short(state.best.total_low)')}×" in first
    best = run(page, "state.best.title")
    set_value(page, "max-latency", (latency + high) / 2)
    assert best not in best_of(page)
    set_value(page, "max-latency", high)
    assert best in best_of(page)


def test_contaminated_cells_are_never_recommended(browser: Any, tmp_path: Path) -> None:
    """They are drawn with an outline of their own; where all are, nothing is recommended."""
    content = factory.make_content(ratios=(0.5,), batch_sizes=(1,))
    records = list(factory.records_of(content, "latency"))
    for number, expected in ((1, "7 more are contaminated"), (0, "all 8 cells within the budgets are cont")):
        for record in records[number:]:
            record["contaminated"] = True
        (tmp_path / "a.json").write_text(json.dumps(content))
        write_report([tmp_path / "a.json"], "html", tmp_path / "r.html")
        browser.get((tmp_path / "r.html").as_uri())
        assert expected in best_of(browser)
        assert run(browser, "document.querySelectorAll('#by-latency .untrusted').length") == 8 - number
        assert run(browser, "document.querySelectorAll('#by-latency .best').length") == number


def test_the_page_recommends_what_the_command_does(browser: Any, tmp_path: Path) -> None:
    """With the same budgets in its fields the page says the same cell, whether it is sure, and a tie."""
    for name, asked in QUESTIONS.items():
        paths = files_of(asked, tmp_path)
        answer = recommend(paths, Question(), Budgets(**asked.limits))
        write_report(paths, "html", tmp_path / "r.html")
        browser.get((tmp_path / "r.html").as_uri())
        share = 100 if run(browser, "measureHere().percent") else 1
        limits, size = answer.limits, answer.limits.max_size_bytes
        for id_, limit in (
            ("max-lost", None if limits.max_drop is None else limits.max_drop * share),
            ("limit-score", None if limits.score is None else limits.score * share),
            ("max-latency", limits.max_latency_ms),
            ("max-size", None if size is None else size / 1e6),
        ):
            set_value(browser, id_, "" if limit is None else limit)
        best = answer.best.candidate.record["cell"] if answer.best else None
        assert run(browser, "state.best ? state.best.cell : null") == best, name
        assert (", not sure: " in best_of(browser).partition(" (")[0]) == (
            answer.best is not None and not answer.best.is_sure
        ), name
        assert ("a tie with" in best_of(browser)) == answer.is_tie, name
        assert ("; faster, but not sure: " in best_of(browser)) == (answer.faster is not None), name


def test_times_of_unlike_machines_are_not_compared(page: Any) -> None:
    """Of two machines nothing is recommended until one is chosen; two files of one machine are compared."""
    page.execute_script("for (const p of POINTS) p.group = POINTS[0].group; chooseGroup()")
    assert "of several machines" in best_of(page)
    assert run(page, "state.best") is None
    target = run(page, "TARGETS[1]")
    set_value(page, "target", target, "change")
    assert target in best_of(page)
    page.execute_script("for (const p of POINTS) p.machine = 0; chooseGroup()")
    assert best_of(page).startswith("Fastest cell")


@pytest.fixture
def task_page(browser: Any, tmp_path: Path) -> Any:
    """Open the page of a classification and of a task whose score is the better the lower it is."""
    content = two_tasks(factory.make_content(), score_content(ERROR))
    path = factory.write(content, tmp_path / "tasks.json")
    write_report([path], "html", tmp_path / "r.html")
    browser.set_window_size(1200, 900)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get((tmp_path / "r.html").as_uri())
    set_value(browser, "group", "unet on shapes (mean absolute error ↓)", "change")
    return browser


def test_a_score_of_which_lower_is_better_is_drawn_and_budgeted(task_page: Any) -> None:
    """The axis says the good side, the front falls, and what is worse by more than the budget is grey."""
    assert task_page.get_log("browser") == []
    texts = run(task_page, "[...document.querySelectorAll('#by-latency text')].map(e => e.textContent)")
    assert "mean absolute error, lower is better" in texts
    label = "document.getElementById('lost-label').textContent"
    assert run(task_page, label) == "mean absolute error gained, at most"
    assert run(task_page, "document.getElementById('max-lost').value") == "0.0033"  # a hundredth of dense
    assert "magnitude 0.25" in best_of(task_page)
    assert "mean absolute error 0.3250" in best_of(task_page)
    assert "faster, but not sure: it may be worse by 0.0285: magnitude 0.25, eager bf16" in best_of(task_page)
    assert run(task_page, "chosen().filter(fits).every(p => p.lost <= 0.0033)") is True
    assert run(task_page, "chosen().some(p => !fits(p) && p.score > 0.34)") is True
    set_value(task_page, "max-lost", "")
    assert "magnitude 0.75" in best_of(task_page)
    front = run(task_page, "pareto(chosen(), 'latency').map(p => p.score)")
    assert len(front) > 2
    assert front == sorted(front, reverse=True)
    points = run(task_page, "document.querySelector('#by-latency .front').getAttribute('points')")
    heights = [float(pair.split(",")[1]) for pair in points.split()]
    assert heights == sorted(heights)  # down on the screen: to lower errors
    set_value(task_page, "max-lost", -0.0001)  # better than the dense model
    assert run(task_page, "chosen().filter(fits).every(p => p.score < 0.3278)") is True
    assert "magnitude 0.25" in best_of(task_page)


def test_each_score_has_its_own_budget_and_value(task_page: Any) -> None:
    """Another network has the budget of its score; the table of cells says what each value is of."""
    set_value(task_page, "max-lost", 0.02)
    set_value(task_page, "group", "resnet18 on digits", "change")
    assert run(task_page, "document.getElementById('lost-label').textContent").startswith(
        "points of accuracy"
    )
    assert run(task_page, "document.getElementById('max-lost').value") == "1.0"
    assert "accuracy 97." in best_of(task_page)
    assert "accuracy, %" in run(
        task_page, "[...document.querySelectorAll('#by-macs text')].map(e => e.textContent)"
    )
    set_value(task_page, "group", "unet on shapes (mean absolute error ↓)", "change")
    assert run(task_page, "document.getElementById('max-lost').value") == "0.02"
    ids = run(task_page, "DATA.columns.map(c => c.id)")
    what, value = ids.index("scored"), ids.index("score")
    rows = "[...document.querySelectorAll('#cells tbody tr')]"
    cells = run(task_page, f"{rows}.map(row => [...row.cells].map(cell => cell.firstChild.data))")
    found = {(cell[0], cell[what], cell[value]) for cell in cells}
    assert ("unet", "mean absolute error ↓", "0.3333") in found
    assert ("resnet18", "accuracy %", "96.67") in found
    task_page.execute_script("document.querySelector('#by-latency .point').dispatchEvent(new Event('focus'))")
    lines = run(task_page, "[...document.querySelectorAll('#tip .line')].map(e => e.textContent)")
    assert lines[1].startswith("mean absolute error 0.3")
    assert lines[1].endswith(("dense", "as dense"))
