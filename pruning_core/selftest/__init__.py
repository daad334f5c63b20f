"""`pruning-bench selftest latency`: how often our verdicts are wrong on this machine, shown by experiment.

    trials.py   A/A pairs and planted slow-downs, each measured our way and by the sequential mean
    summary.py  rates with their intervals, and the table of them
    figure.py   both methods in one picture

Not for: measuring checkpoints (`harness.py`).
"""
