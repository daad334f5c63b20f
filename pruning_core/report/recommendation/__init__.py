"""Which cell to ship: the limits of a user, the rule that ranks, and the answer in words. See `README.md`."""
