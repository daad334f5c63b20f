"""A page in a real browser: what to do with it, and what it needs."""

import shutil
from typing import Any

import pytest

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")

NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER or not DRIVER, reason="needs Chromium and chromedriver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # selenium's own sockets
]

EVIL = "<img src=x onerror=\"document.title='obeyed'\">"


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


def best_of(page: Any) -> str:
    """Return what the page recommends."""
    text: str = run(page, "document.getElementById('best').textContent")
    return text
