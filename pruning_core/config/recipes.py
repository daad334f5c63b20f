"""Recipes: how a dense network is trained and how each step is fine-tuned, under a name.

A grid says `recipe = "fast"`, and in [train] and [fine_tune] only what is to differ. A new recipe is an entry
in RECIPES.
"""

from typing import Any

from pruning_core.errors import UnknownNameError

_PLAIN_SGD: dict[str, Any] = {
    "batch_size": 128,
    "learning_rate": 0.01,
    "lr_schedule": "constant",
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "augment": False,
    "precision": "fp32",
}

_FAST: dict[str, Any] = {
    "batch_size": 128,
    "lr_schedule": "onecycle",
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "label_smoothing": 0.1,
    "augment": True,
    "precision": "auto",
}

_LONG: dict[str, Any] = {
    "batch_size": 256,
    "lr_schedule": "cosine",
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "label_smoothing": 0.0,  # a smoothed teacher teaches less: Müller et al., NeurIPS 2019
    "augment": True,
    "cut_out": 16,  # as published for CIFAR-10
    "precision": "auto",
}

RECIPES: dict[str, dict[str, Any]] = {
    # As published, to the letter: results/post-bf16/README.md.
    "tutorial": {
        "normalize": "[-1,1]",
        "round_to": 2,
        "train": {**_PLAIN_SGD, "epochs": 10},
        "fine_tune": {**_PLAIN_SGD, "epochs": 1},
    },
    # What helps at the same number of epochs: results/notes/recipe-trials.md.
    "fast": {
        "normalize": "dataset",
        "round_to": 2,
        "train": {**_FAST, "epochs": 10, "learning_rate": 0.2},
        "fine_tune": {**_FAST, "epochs": 1, "learning_rate": 0.05, "norm_images": 2048},
    },
    # For a GPU: as long as published comparisons train. What it costs there: results/gpu/README.md.
    "long": {
        "normalize": "dataset",
        "round_to": 2,
        "train": {**_LONG, "epochs": 200, "learning_rate": 0.2},
        "fine_tune": {
            **_LONG,
            "epochs": 40,
            "learning_rate": 0.05,
            "norm_images": 2048,
            "distill_weight": 0.9,
        },
    },
}
"""Name → fields of a grid. What a grid file says itself goes before them."""


def find_recipe(name: str) -> dict[str, Any]:
    """Return a recipe by name.

    Raises:
        UnknownNameError: If no recipe has that name.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
