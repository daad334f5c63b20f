"""`pruning-bench selftest`: how often our verdicts are wrong on this machine, shown by experiment.

latency     single pairs of models
    trials.py        A/A pairs and planted slow-downs, each measured our way and by the sequential mean
    summary.py       rates with their intervals, and the table of them
    figure.py        both methods in one picture
gate        whole runs of the suites
    planting.py      makes a backend slower in a run
    gate_trials.py   the runs, and what the gate says of them
    gate_command.py  from runs to a table
"""
