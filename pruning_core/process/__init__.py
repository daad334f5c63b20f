"""How this process ends: signals, exit codes, faults of ours."""
