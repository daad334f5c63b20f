"""Lets the tests run side by side (`pytest -n 2`), and in any order."""

import os
import signal
import sys

import pytest
import torch

# Our tests run pytest inside pytest. An inner run that finds this variable believes that it is a worker of
# pytest-xdist itself, and pytest-benchmark then measures nothing.
if os.environ.pop("PYTEST_XDIST_WORKER", None):
    # Several workers that each compute on every core wait for one another most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)

# A shell starts what runs in its background with Ctrl-C ignored, nohup with hang-ups ignored, and so are the
# programs that tests start and interrupt: they would go on for as long as they have work.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _same_weights_in_any_order():
    """Draw what a test draws from one seed, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def tmp_path(tmp_path):
    """Give an empty folder, and forget what a test imported from it: the next may name its own modules so."""
    yield tmp_path
    within = f"{tmp_path}{os.sep}"  # compared as text: there are thousands of modules, and as many tests
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(within):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path) and not entry.startswith(within)]
