"""The gate: a baseline and a new run → a verdict for each cell, and an exit code that CI can trust."""
