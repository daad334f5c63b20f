"""What `pruning-bench init` writes beside the suites: a small network, a grid, limits, a CI job."""
