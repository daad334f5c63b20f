"""One browser for all tests of the page, and a page of two machines in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pruning_core.report.command import write_report
from tests.helpers import record_factory as factory
from tests.helpers.page_in_browser import BROWSER, DRIVER, EVIL


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start one browser, with a log of its console and of its requests."""
    webdriver = pytest.importorskip("selenium.webdriver")
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
