"""Settings of every pytest run here; the options of the suites are in pruning_core.pytest_plugin."""

pytest_plugins = ["pytester"]  # tests of our plugin run pytest inside pytest
