"""Lets the tests run side by side (`pytest -n 2`)."""

import os

# Our tests run pytest inside pytest. An inner run that finds this variable believes that it is a worker of
# pytest-xdist itself, and pytest-benchmark then measures nothing.
os.environ.pop("PYTEST_XDIST_WORKER", None)
