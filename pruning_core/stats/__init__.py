"""Pure numbers: intervals and tests. Imports nothing of ours but errors."""
