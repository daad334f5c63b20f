"""Specs and keys: every field counts, and old keys stay what they were."""

import re

import pytest
from pydantic import ValidationError

from pruning_core.config.augment import AugmentSpec
from pruning_core.config.spec import (
    DatasetSpec,
    DenseSpec,
    FineTuneSpec,
    MethodSpec,
    ModelSpec,
    PrunedSpec,
    RegularizedSpec,
    TaskSpec,
    TrainSpec,
    canonical_json,
    key_of,
)
from pruning_core.config.validation import option_error

DATASET = DatasetSpec(
    name="digits",
    fingerprint="0" * 32,
    classes=10,
    channels=3,
    height=32,
    width=32,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    augment=AugmentSpec(flip=False, crop_padding=2),
)
DENSE = DenseSpec(model=ModelSpec(name="resnet18"), dataset=DATASET, train=TrainSpec())
REGULARIZED = RegularizedSpec(
    parent=key_of(DENSE),
    model=DENSE.model,
    dataset=DATASET,
    method=MethodSpec(name="growing-reg"),
    strength=1e-4,
    growth=10.0,
    train=TrainSpec(),
    library="torch-pruning 1.6.1",
)
PRUNED = PrunedSpec(
    parent=key_of(DENSE),
    model=DENSE.model,
    dataset=DATASET,
    method=MethodSpec(),
    ratio=0.5,
    fine_tune=FineTuneSpec(epochs=2),
    library="torch-pruning 1.6.1",
)

TASK = TaskSpec(name="my_task:Depth", source_sha256="a" * 64, fingerprint="b" * 32)


def test_golden_keys():
    """These keys name checkpoints in stores out there: they change only together with RECIPE_VERSION."""
    assert key_of(DENSE) == "2a851b4673675213a678ebfaccc25317"
    assert key_of(REGULARIZED) == "4c1339cfc2848d038a20c805f585619a"
    assert key_of(PRUNED) == "b01ce9e1ac32804071ced03be0e7b865"
    assert key_of(DENSE.model_copy(update={"dataset": TASK})) == "350574d78f0067188bade7193a78a5aa"


def _with_muon(spec):
    field = "fine_tune" if spec is PRUNED else "train"
    return spec.model_copy(update={field: getattr(spec, field).model_copy(update={"optimizer": "muon"})})


def _changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.01
    if isinstance(value, str):
        return {
            "auto": "fp32",
            "onecycle": "constant",
            "iterative": "one-shot",
            "local": "global",
            "muon": "sgd",
        }.get(value, value + "x")
    return tuple(item / 2 for item in value)


def _leaves(spec, path=()):
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if hasattr(value, "model_fields_set"):
            yield from _leaves(value, (*path, name))
        elif name != "stage":
            yield (*path, name)


def _replace(spec, path, change):
    name, *rest = path
    value = getattr(spec, name)
    return spec.model_copy(update={name: _replace(value, rest, change) if rest else change(value)})


@pytest.mark.parametrize(
    ("spec", "path"),
    [(_with_muon(spec), path) for spec in (DENSE, REGULARIZED, PRUNED) for path in _leaves(spec)],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else type(value).__name__,
)
def test_every_field_decides_the_key(spec, path):
    """Changing any field, however deep and whether it has a default or not, changes the key."""
    other = {
        "device": "cpu",
        "protect": ("layer1",),
        "ratio_of": (("layer1", 0.5),),
        "allocation": (("conv1", 8),),
    }
    change = (lambda _: other[path[-1]]) if path[-1] in other else _changed
    assert key_of(_replace(spec, path, change)) != key_of(spec)


def test_defaults_stand_in_the_json():
    """A default is written out, so that changing it never reuses an old checkpoint."""
    assert '"label_smoothing":0.1' in canonical_json(TrainSpec())


def test_layers_that_nothing_is_said_of_are_not_in_the_json():
    """Without protected layers and ratios by layer the text is that of before these fields."""
    assert canonical_json(MethodSpec()) == (
        '{"name":"magnitude","round_to":2,"schedule":"iterative","scope":"local"}'
    )


def test_key_does_not_depend_on_the_order_of_patterns():
    """Which pattern counts is decided by what it matches: written in another order it is the same key."""
    first = MethodSpec(protect=["fc", "layer1.*"], ratio_of={"layer4": 0.5, "layer2": 1})
    second = MethodSpec(protect=["layer1.*", "fc"], ratio_of=[("layer2", 1.0), ("layer4", 0.5)])
    assert first == second
    assert canonical_json(first) == canonical_json(second)
    assert MethodSpec.model_validate_json(canonical_json(first)) == first
    assert hash(first) == hash(second)


def test_key_does_not_depend_on_how_a_number_was_written():
    """An integer in a file means the same as the float it stands for."""
    assert canonical_json(TrainSpec(learning_rate=1)) == canonical_json(TrainSpec(learning_rate=1.0))


def test_specs_are_frozen():
    """A spec cannot change after its key was made."""
    with pytest.raises(ValidationError, match="frozen"):
        DENSE.train.epochs = 3


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"epochs": -1}, "epochs: .*greater than or equal to 0.*-1"),
        ({"epochs": "3"}, "epochs: .*valid integer.*'3'"),
        ({"precision": "fp8"}, "precision: .*'auto', 'fp32' or 'bf16'.*'fp8'"),
        ({"epoch": 3}, "epoch: extra inputs are not permitted"),
    ],
)
def test_errors_name_field_value_and_what_is_allowed(fields, expected):
    """What is wrong is said in one line, with the field's name."""
    with pytest.raises(ValidationError) as caught:
        TrainSpec.model_validate(fields)
    assert "\n" not in str(option_error(caught.value))
    assert re.search(expected, str(option_error(caught.value)))
