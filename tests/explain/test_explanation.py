"""The whole story on a small network, and how it is shown."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import OptionError, PruningError
from pruning_core.explain.explanation import explain
from pruning_core.explain.reasons import REASONS
from pruning_core.explain.rendering import WIDTH, render
from pruning_core.explain.subject import Explained, setting_of, untrained_subject
from pruning_core.models.copying import copy_network
from pruning_core.pruning.step import prune
from pruning_core.shapes.timing import Setting

EXAMPLE = torch.zeros(1, 3, 16, 16)


@contextmanager
def silent(_: str) -> Iterator[Any]:
    """Show nothing."""
    yield lambda done, planned: None


def explained(method: MethodSpec, ratio: float = 0.5) -> Explained:
    """Prune a network of three layers."""
    dense = nn.Sequential(
        *(nn.Conv2d(3, 62, 3), nn.ReLU(), nn.Conv2d(62, 40, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(40, 10)),
    ).eval()
    network = copy_network(dense)
    plan = prune(network, dense, method, ratio, EXAMPLE, seed=0)
    return Explained("small", method, ratio, dense, network.eval(), plan, EXAMPLE)


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """Explain it on ONNX Runtime, the second layer protected."""
    given = explained(MethodSpec(round_to=1, protect=("2",)))
    return explain(given, Setting("onnxruntime", batch_size=2, threads=2), silent, rounds=6)


def layers_in(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return name → layer."""
    return {layer["layer"]: layer for group in content["groups"] for layer in group["layers"]}


@pytest.mark.slow
def test_every_layer_has_its_widths_shares_and_a_reason(content: dict[str, Any]) -> None:
    """Shares of the multiply-adds add up to one; widths are those of both networks."""
    layers = layers_in(content)
    assert {n: (layer["dense"], layer["kept"]) for n, layer in layers.items()} == {
        "0": (62, 31),
        "2": (40, 40),
        "6": (10, 10),
    }
    assert layers["2"]["reason"] == "kept whole"
    assert layers["2"]["evidence"] == "protected by '2'"
    for name in ("mac_share", "dense_mac_share"):
        assert sum(layer[name] for layer in layers.values()) == pytest.approx(1)
    assert all(layer["reason"] in ("", *REASONS) for layer in layers.values())
    assert content["groups"][1]["kept_whole"] == "protected by '2'"
    json.dumps(content)


@pytest.mark.slow
def test_shares_of_time_add_up(content: dict[str, Any]) -> None:
    """Those of layers and of what is no layer's: where nodes miss the call it is the framework's."""
    for share in ("time_share", "dense_time_share"):
        parts = [*layers_in(content).values(), *content["not_layers"]]
        assert sum(part[share] for part in parts) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_the_speedup_is_measured_in_pairs(content: dict[str, Any]) -> None:
    """Dense against pruned, with an interval."""
    assert content["speedup_low"] <= content["speedup"] <= content["speedup_high"]
    assert content["dense_macs"] > content["macs"] > 0
    assert content["rounds"] == 6


@pytest.mark.slow
def test_the_text_fits_into_a_terminal(content: dict[str, Any]) -> None:
    """No line is wider than 80 columns, with long names either; control characters do not get through."""
    evil = copy.deepcopy(content)
    evil["groups"][0]["layers"][0]["layer"] = "features.stage3." * 9 + "\x1b[2J"
    for group in evil["groups"]:
        group["reason"] = group["layers"][0]["reason"] = max(REASONS, key=len)
    evil["subject"] = "a very long name of a network " * 6
    evil["gaps"] = {"dense": "", "pruned": "30 % of the call are in no node of the profile"}
    for number, group in enumerate(evil["groups"]):
        group["saved_quotient"] = (-12.345, 1e7, -1e7)[number % 3]
    evil["contention"] = "other processes used 80 % of the cores"
    for given in (content, evil):
        lines = render(given).splitlines()
        assert max(map(len, lines)) <= WIDTH
        assert not any("\x1b" in line for line in lines)
    assert "30 % of the call" in render(evil)
    assert "kept whole: 1 layer" in render(content)


def test_a_network_whose_widths_are_all_dense_is_refused() -> None:
    """Nothing can be faster there; no time is spent to find that out."""
    with pytest.raises(PruningError, match="no width changed"):
        explain(explained(MethodSpec(round_to=64)), Setting("eager"), silent)


def test_a_method_that_masks_is_refused() -> None:
    """Its shapes are dense, and no backend here skips zeros."""
    with pytest.raises(OptionError, match="sets weights to zero"):
        untrained_subject("resnet18", MethodSpec(name="unstructured-l1"), 0.5, None)


def test_what_is_not_asked_for_is_as_in_the_cell() -> None:
    """Without a cell it is eager fp32 on one example; a backend that is asked for brings its precision."""
    assert setting_of(None, None, None, 0, "cpu") == Setting()
    assert setting_of(None, "openvino:int8", 8, 1, "cpu") == Setting("openvino", "int8", 8, threads=1)
    assert setting_of(None, "openvino", None, 0, "cpu").precision == "fp32"
