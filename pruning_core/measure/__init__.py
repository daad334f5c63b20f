"""What is measured about a checkpoint: cost, accuracy, latency, and the machine it was measured on.

Not for: storing what was measured (`records.py`) or judging it (`gate.py`).
"""
