"""Patterns of layers: what they match, which of several counts, and what is said where none matches."""

from collections import OrderedDict

import pytest
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from pruning_core.config.spec import MethodSpec
from pruning_core.errors import OptionError, PruningError
from pruning_core.models import build_model
from pruning_core.pruning.targets import match_layers, protected_layers, ratio_of_group, ratios_of_layers


@pytest.fixture(scope="module")
def resnet18():
    """Build a network of many layers, once."""
    return build_model("resnet18", 10, (3, 32, 32))


def of(**layers):
    """Build a network of named modules."""
    return nn.Sequential(OrderedDict(layers))


def in_layer1(network):
    """Return the layers of layer1."""
    return {
        name
        for name, module in network.named_modules()
        if name.startswith("layer1.") and isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    }


class TestMatches:
    """What a pattern means."""

    @pytest.mark.parametrize("pattern", ["layer1", "layer1.*", "layer1*", "layer[1]", "*1.?", "?ayer1"])
    def test_a_module_means_all_layers_in_it(self, resnet18, pattern):
        """The name of a module around layers, or a pattern of it, matches each layer inside."""
        assert match_layers(resnet18, [pattern]) == in_layer1(resnet18)

    def test_a_star_goes_over_dots(self, resnet18):
        """`*` is any text, dots included; without it a name is that name alone."""
        assert match_layers(resnet18, ["*.0.conv1"]) == {f"layer{i}.0.conv1" for i in (1, 2, 3, 4)}
        assert match_layers(resnet18, ["conv1"]) == {"conv1"}

    def test_several_patterns_are_their_union(self, resnet18):
        """A layer that any of them matches is found."""
        assert match_layers(resnet18, ["layer1", "fc", "layer1.0.*"]) == in_layer1(resnet18) | {"fc"}

    def test_no_pattern_matches_nothing(self, resnet18):
        """A spec that names no layer protects none and has no ratios."""
        assert protected_layers(resnet18, MethodSpec()) == {}
        assert ratios_of_layers(resnet18, MethodSpec()) == {}

    def test_a_layer_of_two_names_is_found_by_both(self):
        """The second name of a shared module matches, too, and the first is returned."""
        shared = nn.Conv2d(3, 3, 1)
        network = of(first=shared, second=shared, inner=of(third=shared))
        assert match_layers(network, ["second"]) == match_layers(network, ["inner"]) == {"first"}

    def test_a_layer_whose_weight_is_computed_is_one(self):
        """A convolution without bias under a parametrization has no parameter of its own, and is found."""
        network = of(conv=weight_norm(nn.Conv2d(3, 3, 1, bias=False)), fc=nn.Linear(3, 3))
        assert "conv" in match_layers(network, ["conv"])

    def test_norms_are_layers_and_activations_are_none(self):
        """What has parameters can stay as it is; a name of what has none is a mistake."""
        network = of(conv=nn.Conv2d(3, 4, 1), norm=nn.GroupNorm(2, 4), act=nn.ReLU())
        assert match_layers(network, ["norm"]) == {"norm"}
        with pytest.raises(OptionError, match="no layer 'act'"):
            match_layers(network, ["act"])


class TestUnknown:
    """A pattern that matches nothing is refused, whatever stands beside it."""

    @pytest.mark.parametrize(
        ("pattern", "close"),
        [
            ("layr1.*", "layer1.*"),
            ("Layer1", "layer1"),
            ("layer1.0.conv3", "layer1.0.conv2"),
            ("bn", "bn1"),
        ],
    )
    def test_close_names_are_said(self, resnet18, pattern, close):
        """The message has the pattern, the closest name, and which layers there are."""
        with pytest.raises(OptionError) as caught:
            match_layers(resnet18, ["conv1", pattern])
        assert str(caught.value) == (
            f"protect: no layer {pattern!r} in this model. Did you mean {close!r}?\n"
            "  layers: conv1, bn1, layer1.*, layer2.*, layer3.*, layer4.*, fc"
        )

    @pytest.mark.parametrize("pattern", ["[", "[]", "\x1b[31m", "x" * 1000, "(", "layer1..*", ".conv1"])
    def test_strange_patterns_are_refused_alike(self, resnet18, pattern):
        """Half a bracket or a control character matches nothing; the message stays short and printable."""
        with pytest.raises(OptionError, match="no layer") as caught:
            match_layers(resnet18, [pattern])
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 300

    def test_a_model_in_a_wrapper_shows_what_is_inside(self):
        """Where all layers are in one module its children are listed; of many names the first ones are."""
        inner = of(**{f"conv{i}": nn.Conv2d(3, 3, 1) for i in range(30)})
        with pytest.raises(OptionError, match=r"layers: net\.conv0, net\.conv1, .* and 10 more$"):
            match_layers(of(net=inner), ["none"])

    @pytest.mark.parametrize("spec", [{"protect": ["none"]}, {"ratio_of": {"none": 0.5}}])
    def test_both_options_refuse(self, resnet18, spec):
        """The message begins with the option that the pattern stands in."""
        with pytest.raises(OptionError, match=f"^{next(iter(spec))}: no layer 'none'"):
            ratios_of_layers(resnet18, MethodSpec(**spec))


class TestRatios:
    """Which ratio a layer has."""

    def test_the_narrower_pattern_counts(self, resnet18):
        """Of patterns within one another the innermost decides, in whatever order they stand."""
        pairs = [("layer4.0.conv1", 0.2), ("layer4.*", 0.8), ("layer4.0", 0.5)]
        expected = {
            "layer4.0.conv1": 0.2,
            "layer4.0.conv2": 0.5,
            "layer4.0.downsample.0": 0.5,
            "layer4.1.conv1": 0.8,
            "layer4.1.conv2": 0.8,
        }
        for order in (pairs, pairs[::-1]):
            assert ratios_of_layers(resnet18, MethodSpec(ratio_of=order)) == expected

    def test_patterns_that_cross_are_refused_where_they_differ(self, resnet18):
        """Neither of two overlapping patterns wins in silence; a line for the layer itself decides."""
        crossing = {"layer4.*": 0.8, "*.conv1": 0.5}
        with pytest.raises(OptionError, match=r"both match layer4\.0\.conv1, and neither is within"):
            ratios_of_layers(resnet18, MethodSpec(ratio_of=crossing))
        own = {"layer4.0.conv1": 0.1, "layer4.1.conv1": 0.2}
        ratios = ratios_of_layers(resnet18, MethodSpec(ratio_of=crossing | own))
        assert (ratios["layer4.0.conv1"], ratios["layer4.1.conv1"], ratios["layer3.0.conv1"]) == (
            0.1,
            0.2,
            0.5,
        )
        same = ratios_of_layers(resnet18, MethodSpec(ratio_of={"layer4.*": 0.5, "*.conv1": 0.5}))
        assert set(same.values()) == {0.5}

    def test_two_patterns_of_the_same_layers_are_refused(self, resnet18):
        """layer4 and layer4.* match the same layers: two ratios contradict each other."""
        with pytest.raises(OptionError, match=r"'layer4' = 0\.5 and 'layer4\.\*' = 0\.8 both match"):
            ratios_of_layers(resnet18, MethodSpec(ratio_of={"layer4": 0.5, "layer4.*": 0.8}))

    def test_a_ratio_of_zero_protects(self, resnet18):
        """Layers with ratio 0 stay, so that rounding takes nothing of them either."""
        spec = MethodSpec(ratio_of={"layer4": 0.5, "layer4.0": 0}, protect=["conv1"])
        assert protected_layers(resnet18, spec) == {
            "conv1": "protected by 'conv1'",
            "layer4.0.conv1": "its own ratio is 0",
            "layer4.0.conv2": "its own ratio is 0",
            "layer4.0.downsample.0": "its own ratio is 0",
        }
        assert ratios_of_layers(resnet18, spec) == {"layer4.1.conv1": 0.5, "layer4.1.conv2": 0.5}

    def test_protection_goes_before_a_ratio(self, resnet18):
        """A protected layer has no ratio of its own, also where the pattern of the ratio is the narrower."""
        spec = MethodSpec(ratio_of={"layer4.0.*": 0.5}, protect=["*.conv1"])
        assert ratios_of_layers(resnet18, spec).keys() == {"layer4.0.conv2", "layer4.0.downsample.0"}

    @pytest.mark.parametrize(
        ("spec", "kept"),
        [({"ratio_of": {"layer4.0": 0.5}, "protect": ["layer4"]}, ()), ({"ratio_of": {"fc": 0.5}}, ("fc",))],
    )
    def test_a_ratio_without_effect_is_refused(self, resnet18, spec, kept):
        """A ratio for nothing but layers that stay, the classifier too, is a mistake."""
        with pytest.raises(OptionError, match="matches only layers that stay as they are"):
            ratios_of_layers(resnet18, MethodSpec(**spec), kept)

    def test_a_ratio_of_norms_alone_is_refused(self, resnet18):
        """A norm has no channels of its own to choose."""
        with pytest.raises(OptionError, match="matches no layer that this method prunes, only bn1"):
            ratios_of_layers(resnet18, MethodSpec(ratio_of={"bn1": 0.5}))

    @pytest.mark.parametrize(
        ("own", "expected"), [({}, 0.3), ({"b": 0.5}, 0.5), ({"a": 0.5, "b": 0.5}, 0.5), ({"c": 0.9}, 0.3)]
    )
    def test_a_group_takes_the_ratio_of_any_of_its_layers(self, own, expected):
        """Layers that lose channels together lose what one of them says, else what the schedule says."""
        assert ratio_of_group(["a", "b"], own, 0.3) == expected

    def test_a_group_of_two_ratios_is_refused(self):
        """Layers that must lose the same channels cannot have two ratios."""
        with pytest.raises(PruningError, match=r"a and b can only be pruned alike.* 0\.5 and 0\.8"):
            ratio_of_group(["b", "c", "a"], {"a": 0.5, "b": 0.8}, 0.3)
