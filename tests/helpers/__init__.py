"""What several test files use: made-up records, small networks, clocks that are set."""
