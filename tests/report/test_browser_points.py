"""The points of the page in a real browser: told, walked, switched, told apart."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.command import write_report
from tests.helpers.page_in_browser import NEEDS_BROWSER, run, set_value, set_width
from tests.helpers.results import published_run

pytestmark = NEEDS_BROWSER


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
