"""`pruning-bench selftest`: how often our verdicts are wrong on this machine, shown by experiment.

latency     single pairs of models
    latency_trials.py    A/A pairs and injected slow-downs, each measured our way and by the sequential mean
    latency_summary.py   rates with their intervals, and the table of them
    latency_figure.py    both methods in one figure
    latency_command.py   from trials to files
compare     pairs compared from Python
    compare_command.py   equal networks, and a tenth more work, from trials to a table
gate        whole runs of the suites
    slowdown_plugin.py   makes a backend slower in a run
    gate_trials.py       the runs, and what the gate says of them
    gate_command.py      from runs to a table
"""
