"""This machine: what its processors can do, and the state that it is in."""
