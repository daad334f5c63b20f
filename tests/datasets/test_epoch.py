"""An epoch's batches: all images, and no last one alone."""

import pytest
import torch

from pruning_core.datasets.epoch import batch_sizes, split_epoch


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"),
    [
        (60, 16, [16, 16, 16, 12]),
        (64, 16, [16, 16, 16, 16]),
        (66, 16, [16, 16, 16, 16, 2]),
        (65, 16, [16, 16, 16, 17]),
        (17, 16, [17]),
        (1, 16, [1]),
        (3, 2, [3]),
        (3, 1, [1, 1, 1]),
        (2, 1, [1, 1]),
    ],
)
def test_a_last_image_joins_the_batch_before(images, batch_size, sizes):
    """One image that is left over makes the last batch one larger, unless single images were asked for."""
    assert batch_sizes(images, batch_size) == sizes
    choices = torch.arange(images)[:, None]
    batches = split_epoch(choices, batch_size)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), choices)
