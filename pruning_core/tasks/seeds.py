"""Seeds of a training: one for each epoch and purpose."""

import hashlib


def derive_seed(seed: int, epoch: int, purpose: str) -> int:
    """Return a seed for one purpose in one epoch; unlike seed + epoch, no two of them coincide.

    Args:
        seed: Of the training.
        epoch: Counted from 0.
        purpose: A word that must never change: another one draws other numbers for the same seed.
    """
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
