"""Datasets by name: which names there are, and what is said of one that is not."""

import pytest

from pruning_core.datasets import DATASETS, check_dataset_name, load_dataset
from pruning_core.errors import UnknownNameError


@pytest.mark.parametrize(
    "name", [*DATASETS, "folder:images", "folder:/a/b c", "folder:C:\\x", "mine:load", "a.b:c"]
)
def test_possible_names_are_accepted_without_loading(name: str) -> None:
    """A name is checked by its form: nothing is imported, read or downloaded."""
    check_dataset_name(name)


@pytest.mark.parametrize(
    "name", ["", "cifar", "folder", "folder:", "mine", "mine:", ":load", "my file:load", "a..b:c"]
)
def test_impossible_names_are_refused(name: str) -> None:
    """Any other name is refused, with all that there is."""
    with pytest.raises(
        UnknownNameError, match="known: cifar10, cifar100, digits, fashion-mnist, folder:PATH"
    ):
        check_dataset_name(name)


def test_misspelt_name_gets_a_suggestion() -> None:
    """The closest name is suggested; loading refuses as checking does."""
    with pytest.raises(UnknownNameError, match=r"no dataset 'cifar-10'\. Did you mean 'cifar10'\?"):
        load_dataset("cifar-10")
