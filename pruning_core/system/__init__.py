"""This machine: what its processors can do."""
