"""Settings of every pytest run here: our plugin is asked for, as in any project that uses it."""

# pytester: tests of our plugin run pytest inside pytest.
pytest_plugins = ["pruning_core.pytest_plugin", "pytester"]
