"""What the suites in `bench/` ask for: checkpoints made ready, cells measured, records filled."""
