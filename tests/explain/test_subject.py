"""A stored checkpoint is explained as `export` finds it."""

import re

import pytest
import torch

from pruning_core.errors import OptionError
from pruning_core.explain.groups import width_groups, with_widths
from pruning_core.explain.subject import setting_of, stored_subject
from pruning_core.export.subject import Subject
from pruning_core.shapes.timing import Setting
from tests.helpers.exports import open_shop


def test_a_checkpoint_is_compared_with_its_dense_network(tmp_path):
    """The pruned network is the stored one; cut again to its widths, an untrained one has its shapes."""
    with open_shop(tmp_path) as shop:
        explained, subject = stored_subject(shop.pruned.key[:8], None, None, shop.store)
        assert explained.key == shop.pruned.key
        assert explained.plan == shop.pruned.plan
        assert subject.record is None
        groups = width_groups(explained.dense, explained.network, explained.plan, explained.example)
        widths = {group.root: group.kept for group in groups if not group.whole}
        assert any(group.kept < group.dense for group in groups)
        again, _ = with_widths(explained.dense, groups, widths, explained.example)
        shapes = [
            {name: tensor.shape for name, tensor in network.state_dict().items()}
            for network in (again, explained.network)
        ]
        assert shapes[0] == shapes[1]
        with torch.inference_mode():
            assert again(explained.example).shape == explained.network(explained.example).shape
        with pytest.raises(OptionError, match=re.escape("is dense: nothing was pruned")):
            stored_subject(shop.dense.key, None, None, shop.store)


def test_a_cell_brings_its_backend_and_batch_size():
    """What is asked for goes before what the cell was measured with."""
    record = {"cell": "c", "backend": "openvino", "precision": "int8", "batch_size": 128}
    subject = Subject(None, record)
    assert setting_of(subject, None, None, None, None) == Setting("openvino", "int8", 128)
    assert setting_of(subject, None, None, 0, "cpu") == Setting("openvino", "int8", 128)
    assert setting_of(subject, "onnxruntime", 1, 2, "cpu") == Setting("onnxruntime", "fp32", 1, threads=2)
