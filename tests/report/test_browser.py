"""The page in a real browser: it draws, sorts and filters, and its budgets and notes work."""

import json
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.command import write_report
from pruning_core.report.recommendation.command import Budgets, recommend
from pruning_core.report.recommendation.question import Question
from tests.helpers import record_factory as factory
from tests.helpers.made_up_scores import ERROR, score_content, two_tasks
from tests.helpers.questions import QUESTIONS, files_of
from tests.helpers.results import published_run

webdriver = pytest.importorskip("selenium.webdriver")

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER or not DRIVER, reason="needs Chromium and chromedriver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # selenium's own sockets
]

EVIL = "<img src=x onerror=\"document.title='obeyed'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start one browser, with a log of its console and of its requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    # A page that is loaded again may not have the focus at once; without it no element gets a focus event.
    started.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    yield started
    started.quit()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    """Open the page of two machines, one of whose models has markup in its name."""
    first, second = factory.make_content(), factory.make_content(seed=1, machine="box-b", device="cuda:0")
    for entry in second["benchmarks"]:
        entry["extra_info"]["model"] = EVIL
    for name, content in (("a", first), ("b", second)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    write_report([tmp_path / "a.json", tmp_path / "b.json"], "html", tmp_path / "r.html")
    browser.set_window_size(1200, 900)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get_log("performance")
    browser.get((tmp_path / "r.html").as_uri())
    return browser


def run(page: Any, script: str) -> Any:
    """Return what an expression of JavaScript gives."""
    return page.execute_script(f"return {script}")


def set_width(page: Any, width: int) -> None:
    """Make the window as wide as a phone or a desk, which a headless window is not by itself."""
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )
    page.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")  # it draws again


def set_value(page: Any, id_: str, value: object, event: str = "input") -> None:
    """Give a control a value as a user would."""
    page.execute_script(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1]; "
        "e.dispatchEvent(new Event(arguments[2]))",
        id_,
        str(value),
        event,
    )


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


def best_of(page: Any) -> str:
    """Return what the page recommends."""
    text: str = run(page, "document.getElementById('best').textContent")
    return text


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


def test_points_of_one_network_have_the_same_macs(page: Any) -> None:
    """Each mark stands at its MACs, told apart by ring and shape; the front goes through its points."""
    marks = run(
        page,
        "[...document.querySelectorAll('#by-macs .point')].map(e => [e.getAttribute('d'), e.getBBox()])"
        ".map(([d, b]) => [d, b.x + b.width / 2, b.y + b.height / 2])",
    )
    assert len({shape for shape, _, _ in marks}) == 16
    at = []
    for shape, x, y in marks:
        # A ring begins at its left; a small mark on it moves the middle of the whole.
        ring = re.match(r"M([\d.]+),([\d.]+)a([\d.]+)", shape)
        at.append((float(ring[1]) + float(ring[3]), float(ring[2])) if ring else (x, y))
    assert len({round(x, 1) for x, _ in at}) == 4  # as many as ratios
    front = run(page, "document.querySelector('#by-macs .front').getAttribute('points').split(' ')")
    assert len(front) > 1
    for point in front:
        x, y = map(float, point.split(","))
        assert any(abs(x - other_x) < 0.1 and abs(y - other_y) < 1 for other_x, other_y in at)


def test_ratios_stand_at_the_points(browser: Any, tmp_path: Path) -> None:
    """In both accuracy charts points are named by their ratio; no two names overlap, of nine backends."""
    page, run_file = browser, published_run("backends")
    write_report([run_file], "html", tmp_path / "r.html")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.get((tmp_path / "r.html").as_uri())
    for chart in ("by-latency", "by-macs"):
        names = run(page, f"[...document.querySelectorAll('#{chart} .name')].map(e => e.textContent)")
        assert set(names) == {"dense", "0.50", "0.75", "0.90"}
        boxes = run(
            page,
            f"[...document.querySelectorAll('#{chart} .name')].map(e => e.getBoundingClientRect())"
            ".map(b => [b.left, b.top, b.right, b.bottom])",
        )
        for at, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[at + 1 :]:
                assert right <= other[0] or other[2] <= left or bottom - 3 <= other[1] or other[3] - 3 <= top


@pytest.mark.parametrize("width", [360, 1200])
def test_a_point_is_told_in_eight_lines(page: Any, width: int) -> None:
    """Pointing at a point shows eight lines in words, all inside the window; Escape hides them."""
    set_width(page, width)
    assert run(page, "document.getElementById('tip').hidden") is True
    page.execute_script(
        "const p = document.querySelector('#by-latency .point');"
        "p.scrollIntoView({block: 'center'}); p.focus()"
    )
    assert run(page, "document.getElementById('tip').hidden") is False
    assert run(page, "document.querySelectorAll('#tip strong, #tip .line').length") == 8
    text = run(page, "document.getElementById('tip').textContent")
    for word in ("accuracy", "latency", "speed-up", "total speed-up", "MACs", "parameters", "contaminated"):
        assert word in text
    assert "latency_p99_ms" not in text
    boxes = run(
        page,
        "[...document.querySelectorAll('#tip strong, #tip .line')].map(e => e.getBoundingClientRect())"
        ".map(b => [b.left, b.top, innerWidth - b.right, innerHeight - b.bottom])",
    )
    assert all(distance >= 0 for box in boxes for distance in box)
    page.execute_script("dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    assert run(page, "document.getElementById('tip').hidden") is True


def test_a_point_tells_its_whole_record_on_request(page: Any) -> None:
    """Enter, or a click and then its line, opens all fields; they stay until Escape or a click elsewhere."""
    page.execute_script("document.querySelector('#by-latency .point').focus()")
    page.execute_script(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"
    )
    assert run(page, "document.activeElement.tagName") == "SUMMARY"
    page.execute_script("document.activeElement.click()")
    page.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")
    record = run(page, "document.querySelector('#tip .facts').textContent")
    assert "latency_p99_ms: " in record
    assert "mac_reduction: " in record
    box = run(
        page,
        "[document.getElementById('tip').getBoundingClientRect()]"
        ".flatMap(b => [b.left, b.top, innerWidth - b.right, innerHeight - b.bottom])",
    )
    assert all(distance >= 0 for distance in box)
    page.execute_script("dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    assert run(page, "document.getElementById('tip').hidden") is True


def test_arrow_keys_walk_from_point_to_point(page: Any) -> None:
    """A chart is one stop of the Tab key; within it arrow keys go on by x, and the note follows."""
    stops = "document.querySelectorAll('#by-latency .point[tabindex=\"0\"]').length"
    assert run(page, stops) == 1
    page.execute_script("document.querySelector('#by-latency .point[tabindex=\"0\"]').focus()")
    seen = []
    press = "new KeyboardEvent('keydown', {key: arguments[0], bubbles: true})"
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home"):
        page.execute_script(f"document.activeElement.dispatchEvent({press})", key)
        seen.append(
            run(page, "[...document.querySelectorAll('#by-latency .point')].indexOf(document.activeElement)")
        )
    assert seen == [1, 2, 1, 15, 0]
    assert run(page, stops) == 1
    title = run(page, "document.activeElement.getAttribute('aria-label')")
    assert run(page, "document.querySelector('#tip strong').textContent") == title


def test_backends_are_switched_off_and_on(page: Any) -> None:
    """A name in the legend takes its backend out of the charts and of the best cell, and brings it back."""
    before = run(page, "document.getElementById('best').textContent")
    backend = run(page, "state.best.backend")
    click = (
        "[...document.querySelectorAll('#legend button')].find(b => b.dataset.name === arguments[0]).click()"
    )
    page.execute_script(click, backend)
    assert run(page, "document.querySelectorAll('#by-latency .point').length") == 12
    assert backend not in run(page, "document.getElementById('best').textContent")
    assert run(page, "document.querySelectorAll('#legend button[aria-pressed=false]').length") == 1
    page.execute_script(click, backend)
    assert run(page, "document.getElementById('best').textContent") == before


def test_backends_are_told_apart_without_colour(page: Any) -> None:
    """Each backend has a shape of its own beside its colour."""
    shapes = run(page, "BACKENDS.map((backend) => mark({ backend }, 0, 0, 5).getAttribute('d'))")
    assert len(set(shapes)) == len(shapes) == 4
    page.execute_script(
        "TARGETS.push('c', 'd', 'e', 'f'); for (let i = 4; i < 11; i++) BACKENDS.push(`b${i}`)"
    )
    for what, count in (("backend", 11), ("target", 6)):
        looks = run(
            page,
            f"{what.upper()}S.map(({what}) => mark({{ {what} }}, 0, 0, 5))"
            ".map(e => [e.getAttribute('d'), e.getAttribute('style').includes('fill:var(--paper)')].join())",
        )
        assert len(set(looks)) == len(looks) == count
    colours = run(
        page,
        "BACKENDS.map((backend) => colour({ backend }).slice(4, -1))"
        ".map((name) => getComputedStyle(document.documentElement).getPropertyValue(name))",
    )
    assert len(set(colours)) == 11


def test_two_files_are_told_apart(page: Any) -> None:
    """Both names stand in the headings and the legend; each is switched off there, or chosen in the list."""
    for heading in run(page, "[...document.querySelectorAll('h2')].slice(0, 1).map(e => e.textContent)"):
        assert "a.json" in heading
    assert "a.json, b.json" in run(page, "[...document.querySelectorAll('h2')][2].textContent")
    page.execute_script(
        "for (const p of POINTS) p.group = POINTS[0].group; chooseGroup()"  # as of one model in both files
    )
    assert "a.json, b.json" in run(page, "document.getElementById('shown').textContent")
    targets = run(page, "[...document.querySelectorAll('#legend button')].map(b => b.dataset.name).slice(-2)")
    assert [target.split(", ")[1] for target in targets] == ["a.json", "b.json"]
    both = run(page, "document.querySelectorAll('#by-latency .point').length")
    page.execute_script("[...document.querySelectorAll('#legend button')].at(-1).click()")
    assert run(page, "document.querySelectorAll('#by-latency .point').length") == both / 2
    assert run(page, "chosen().every(p => p.file === 'a.json')") is True
    page.execute_script("[...document.querySelectorAll('#legend button')].at(-1).click()")
    set_value(page, "target", targets[1], "change")
    assert run(page, "chosen().every(p => p.file === 'b.json')") is True


def test_another_device_and_batch_are_chosen(page: Any) -> None:
    """Charts follow the lists of models, devices and batch sizes."""
    set_value(page, "batch", "32", "change")
    assert run(page, "new Set(chosen().map(p => p.batch)).size") == 1
    assert run(page, "chosen()[0].batch") == 32
    page.execute_script(
        "const g = document.getElementById('group'); g.selectedIndex = 1; "
        "g.dispatchEvent(new Event('change'))"
    )
    assert run(page, "chosen().every(p => p.target.startsWith('cuda:0'))") is True
    assert page.get_log("browser") == []


def test_ratios_above_the_kept_channels_do_not_overlap(browser: Any, tmp_path: Path) -> None:
    """The tutorial's 19 ratios, from the run in results/: those without room have no number above."""
    write_report([published_run("post-bf16")], "html", tmp_path / "r.html")
    browser.set_window_size(1200, 900)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})  # of a test before
    browser.get((tmp_path / "r.html").as_uri())
    boxes = run(
        browser,
        "[...document.querySelectorAll('#widths .ratio')].map(e => e.getBoundingClientRect())"
        ".map(b => [b.left, b.right])",
    )
    assert len(boxes) > 4
    assert all(right < left for (_, right), (left, _) in pairwise(sorted(boxes)))


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_a_phone(page: Any, width: int) -> None:
    """The page itself never scrolls sideways; wide tables do so in a box of their own."""
    set_width(page, width)
    inner = run(page, "innerWidth")
    assert run(page, "document.documentElement.scrollWidth") <= inner


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
