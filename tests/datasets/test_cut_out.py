"""Cut-out: where the square lies, and what it hides."""

import pytest
import torch

from pruning_core.datasets.cut_out import cut_squares, draw_centres

HEIGHT, WIDTH = 6, 8


def cut_one_by_one(images, centres, side):
    """Do what `cut_squares` does, one image after another, by slices that end at the border."""
    cut = images.clone()
    for image, (row, column) in zip(cut, centres.tolist(), strict=True):
        top, left = row - side // 2, column - side // 2
        image[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0.0
    return cut


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
def test_cuts_as_a_loop_over_images_would(side):
    """Every pixel as centre, corners too: the square is zero in all channels, and ends at the border."""
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    centres = torch.stack([rows.flatten(), columns.flatten()], 1)
    images = torch.rand(len(centres), 3, HEIGHT, WIDTH) + 1.0
    before = images.clone()
    cut = cut_squares(images, centres, side)
    assert torch.equal(cut, cut_one_by_one(images, centres, side))
    assert torch.equal(images, before)
    hidden = (cut == 0).all(1).sum((1, 2))
    assert hidden.max() == side * side
    assert (side == 1) == (int(hidden.min()) == side * side)


def test_any_pixel_is_a_centre():
    """Centres are drawn over the whole image, by the generator alone."""
    first = draw_centres(2000, HEIGHT, WIDTH, torch.Generator().manual_seed(1))
    assert {tuple(centre) for centre in first.tolist()} == {
        (row, column) for row in range(HEIGHT) for column in range(WIDTH)
    }
    torch.rand(3)
    assert torch.equal(first, draw_centres(2000, HEIGHT, WIDTH, torch.Generator().manual_seed(1)))
