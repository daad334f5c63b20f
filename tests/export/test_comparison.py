"""What an exported file is told to score is that of each image once."""

import torch

from pruning_core.export.comparison import _Totals


def test_images_that_come_again_count_once():
    """Five images in batches of four: the last three of the second are repeated, and wrong."""
    logits = torch.eye(4)
    totals = _Totals(5)
    for labels in (torch.arange(4), torch.tensor([0, 0, 0, 0])):
        totals.add(logits, logits, logits, labels)
    found = totals.result("runtime", 1)
    assert (found.n, found.accuracy, found.accuracy_eager, found.agreement) == (5, 1.0, 1.0, 1.0)
