"""The page in a real browser: it draws, sorts and filters, and its sliders and notes work."""

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.command import write_report
from tests.helpers import record_factory as factory
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
    # A page that is loaded anew may not have the focus at once; without it no element gets a focus event.
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
    browser.get_log("performance")
    browser.get((tmp_path / "r.html").as_uri())
    return browser


def run(page: Any, script: str) -> Any:
    """Return what an expression of JavaScript gives."""
    return page.execute_script(f"return {script}")


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
    """A click on a head sorts by exact numbers, another turns the order; words leave fewer cells."""

    def column(number: int) -> list[str]:
        found: list[str] = run(
            page,
            f"[...document.querySelectorAll('#cells tbody tr')].map(r => r.cells[{number}].firstChild.data)",
        )
        return found

    place = run(page, "DATA.columns.findIndex(c => c.id === 'accuracy')")
    button = f"document.querySelectorAll('#cells th button')[{place}]"
    page.execute_script(f"{button}.click()")
    up = [float(text) for text in column(place)]
    page.execute_script(f"{button}.click()")
    down = [float(text) for text in column(place)]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert up != down
    assert (
        run(page, f"document.querySelectorAll('#cells th')[{place}].getAttribute('aria-sort')")
        == "descending"
    )
    set_value(page, "filter", "bf16 0.50 cpu")
    assert set(column(4)) == {"eager bf16"}
    assert set(column(3)) == {"0.50"}
    assert run(page, "document.getElementById('count').textContent") == "2 of 64 cells"


def test_budgets_leave_the_best_cell(page: Any) -> None:
    """The sliders grey out what is over budget, and name the fastest cell that is left."""
    everything = run(page, "document.getElementById('best').textContent")
    assert "Fastest cell left: magnitude 0.75" in everything
    set_value(page, "least", 1000)
    best = run(page, "document.getElementById('best').textContent")
    most_accurate = run(page, "Math.max(...chosen().map(p => p.accuracy))")
    assert f"accuracy {100 * most_accurate:.2f} %" in best
    assert run(page, "document.querySelectorAll('#by-latency .out').length") > 0
    assert run(page, "document.querySelectorAll('#by-latency .best').length") == 1
    set_value(page, "most", 0)
    assert run(page, "document.getElementById('best').textContent") == "No cell fits both budgets."


def test_a_point_tells_its_whole_record(page: Any) -> None:
    """Pointing at a point, or reaching it by keyboard, shows its record; Escape hides it."""
    assert run(page, "document.getElementById('tip').hidden") is True
    page.execute_script("document.querySelector('#by-latency .point').focus()")
    tip = run(page, "document.getElementById('tip').textContent")
    assert run(page, "document.getElementById('tip').hidden") is False
    assert "latency_p99_ms: " in tip
    assert "mac_reduction: " in tip
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
    places = run(page, "PLACES.map((place) => mark({ place }, 0, 0, 5).getAttribute('style'))")
    assert len(set(places)) == len(places) == 2


def test_another_device_and_batch_are_chosen(page: Any) -> None:
    """Charts follow the lists of models, devices and batch sizes."""
    set_value(page, "batch", "1", "change")
    assert run(page, "new Set(chosen().map(p => p.batch)).size") == 1
    assert run(page, "chosen()[0].batch") == 1
    page.execute_script(
        "const g = document.getElementById('group'); g.selectedIndex = 1; "
        "g.dispatchEvent(new Event('change'))"
    )
    assert run(page, "chosen().every(p => p.place.startsWith('cuda:0'))") is True
    assert page.get_log("browser") == []


def test_ratios_above_the_kept_channels_do_not_overlap(browser: Any, tmp_path: Path) -> None:
    """The tutorial's 19 ratios, from the run in results/: those without room have no number above."""
    write_report([published_run("post-bf16")], "html", tmp_path / "r.html")
    browser.set_window_size(1200, 900)
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
    page.set_window_size(width, 800)
    inner = run(page, "innerWidth")
    assert run(page, "document.documentElement.scrollWidth") <= inner
