"""A user's own task: each mistake is one line, told before anything is trained; its content is in the key."""

import re
import sys

import pytest
import torch

from pruning_core.config.cells import variants
from pruning_core.config.grid import make_grid
from pruning_core.config.spec import DenseSpec, TaskSpec, TrainSpec, key_of
from pruning_core.errors import ModelError, PruningBenchError, TaskError, UnknownNameError
from pruning_core.pipeline import ensure_variant
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.tasks import check_task_name, load_task
from pruning_core.tasks.user import open_task
from pruning_core.training.loop import train
from pruning_core.workspace import Workspace


def open_and_check(task, model):
    """Open a task and try its network, as is done before the first training."""
    opened = open_task(task)
    opened.check(opened.build(model))


def refusal(module, name="Sums"):
    """Return the one line with which a task is refused when it is opened, or when its network is tried."""
    with pytest.raises(PruningBenchError) as caught:
        open_and_check(f"{module}:{name}", f"{module}:build")
    assert "\n" not in str(caught.value)
    assert module in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"example": "None"}, r"example_inputs\(\) must return a tensor, or several .* got NoneType"),
        ({"example": "self.left[:4], self.right[:2]"}, "as many as the others .* got tuple of 4×3×8×8, 2×6"),
        ({"example": "self.left[:0], self.right[:0]"}, "at least one"),
        ({"example": "self.left[:4], torch.tensor(1.0)"}, "in its first dimension"),
        ({"example": "self.left[:4] * float('nan'), self.right[:4]"}, "no finite numbers"),
        ({"example": "torch.zeros(4, 2, dtype=torch.long)"}, "whole numbers that are all alike"),
        ({"example": "torch.zeros(4, 2, dtype=torch.complex64)"}, "complex numbers that are all alike"),
        ({"example": "torch.zeros(4, 2, dtype=torch.uint16)"}, "whole numbers that are all alike"),
        ({"example": "torch.eye(4).to_sparse()"}, "row by row; got a tensor of layout sparse_coo"),
        ({"example": "torch.empty(4, 2, device='meta')"}, "row by row; got a tensor without content"),
        (
            {"example": "torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged)"},
            "row by row; got a nested tensor",
        ),
        ({"example": "1 / 0"}, r"example_inputs\(\) raised ZeroDivisionError"),
        ({"batch": "None"}, "gives no batch"),
        (
            {"batch": "self.left[chosen]"},
            "a batch must be a tuple whose first item is what the network takes",
        ),
        ({"batch": "()"}, "a batch must be a tuple"),
        (
            {"batch": "self.left[chosen], self.target[chosen]"},
            r"must give inputs as example_inputs\(\) gives",
        ),
        ({"batch": "(torch.randn(16, 3, 8, 8), self.right[chosen]), self.target[chosen]"}, "other batches"),
        (
            {"batch": "(self.left[chosen].to_mkldnn(), self.right[chosen]), 1"},
            "got a tensor of layout mkldnn",
        ),
        ({"batch": "(self.left[chosen], self.right[chosen]), object()"}, "of type object, which cannot be"),
        ({"batch": "1 / 0"}, r"training_batches\(\) raised ZeroDivisionError"),
        ({"tested": "self.left[32:]"}, r"predict\(\) takes inputs as example_inputs\(\) gives them"),
        (
            {"tested": "(torch.randn(16, 3, 8, 8).add(id(object()) % 99991), self.right[32:])"},
            "something else",
        ),
        ({"loss": "batch[1] ** 2"}, "must return a tensor of one number; got 16"),
        ({"loss": "1.0"}, "must return a tensor of one number; got float"),
        ({"loss": "torch.tensor(1)"}, "must return a tensor of one number; got torch.int64"),
        ({"loss": "{first}.mean() * float('nan')"}, "of the first batch, untrained, must be finite; got nan"),
        ({"loss": "output.nothing"}, r"loss\(\) raised AttributeError"),
        ({"score": "0.5"}, r"evaluate\(\) must return a Score .* got float"),
        ({"score": "None"}, "must return a Score"),
        (
            {"score": "Score('e', better='lower', value=float('nan'))"},
            r"evaluate\(\): score 'e': value must be",
        ),
        ({"score": "Score('e', 'lower', 1.0, errors * float('nan'))"}, "values must be finite"),
        ({"score": "Score('e', 'up', 1.0)"}, 'better must be "higher" or "lower"'),
        (
            {"given": "{}"},
            "must return a tensor of numbers, or several in a tuple, list or dict; got dict of",
        ),
        ({"given": "one.mean(), two"}, "must have the examples in its first dimension; for 2 examples"),
        ({"given": "one, two.T"}, "must have the examples in its first dimension"),
        ({"given": "1 / 0"}, r"cannot take the task's example_inputs\(\) .*ZeroDivisionError"),
    ],
)
def test_a_mistake_is_one_line(write, parts, said):
    """The line names the task or the network, the method, what it got and what is allowed."""
    line = refusal(write(**parts))
    assert re.search(said, line), line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def loss(", "def lost(", r"the class lacks loss\(output, batch\)"),
        ("def evaluate(", "def score(", r"the class lacks evaluate\(predict\)"),
        (
            "def __init__(self):\n        draw",
            "def __init__(self, data):\n        draw",
            "called without arguments",
        ),
        ("output = predict(", "output = (lambda _: (self.target[32:], 0))(", "must call predict"),
        ("class Sums:", "class Others:", "has no function 'Sums'; it has: .*Others"),
        ("class Sums:", "Sums = 3\nclass Others:", "has no function 'Sums'"),
        ("class Sums:", "def Sums():\n    pass\nclass Others:", "it must be a class; got function"),
        ("def build():", "def build(classes, channels):", "for a task it is called without arguments"),
        ("class Net(nn.Module):", "import sys\nclass Net(nn.Module):", None),
    ],
)
def test_a_class_that_is_not_one_is_one_line(write, tmp_path, old, new, said):
    """What the module lacks is named."""
    module = write()
    path = tmp_path / f"{module}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    if said is None:
        open_task(f"{module}:Sums")
    else:
        line = refusal(module)
        assert re.search(said, line), line


def test_names_that_are_no_task():
    """A name without a colon gets the known ones; a module that is not there is a line."""
    with pytest.raises(UnknownNameError, match="Did you mean 'classification'"):
        check_task_name("clasification")
    with pytest.raises(TaskError, match="cannot import 'not_there'"):
        check_task_name("not_there:Task")


@pytest.mark.parametrize("model", ["resnet18", "timm:resnet18", "torchvision:resnet18"])
def test_a_network_for_classes_is_refused(write, model):
    """Networks with logits of classes are for classification alone; what to name is said."""
    with pytest.raises(ModelError, match=r"is one for classification; .* --model module:function"):
        open_task(f"{write()}:Sums").model_spec(model)


def test_the_key_holds_source_and_data(write, tmp_path):
    """Another source, other data, or what fingerprint() says, give another key; the same twice gives one."""
    module = write()
    path = tmp_path / f"{module}.py"
    text = path.read_text()

    def key(changed):
        sys.modules.pop(module, None)
        path.write_text(changed)
        task = open_task(f"{module}:Sums")
        assert isinstance(task.spec, TaskSpec)
        spec = DenseSpec(model=task.model_spec(f"{module}:build"), dataset=task.spec, train=TrainSpec())
        return key_of(spec), task.spec.fingerprint

    first, data = key(text)
    assert key(text) == (first, data)
    other_source = key(text + "\n# a note\n")
    assert other_source[0] != first
    assert other_source[1] == data
    assert key(text.replace("manual_seed(0)", "manual_seed(1)"))[1] != data
    said = text.replace("    pass\n", "    def fingerprint(self):\n        return 'version 1'\n", 1)
    assert key(said)[1] == key(said.replace("manual_seed(0)", "manual_seed(1)"))[1] != data
    with pytest.raises(TaskError, match="must return a text; got int"):
        key(said.replace("'version 1'", "1"))


def test_what_only_a_fingerprint_tells_is_taken(write):
    """With fingerprint() a batch may hold what cannot be hashed."""
    batch = "(self.left[chosen], self.right[chosen]), object()"
    module = write(batch=batch, more="def fingerprint(self): return 'one'")
    assert open_task(f"{module}:Sums").spec.fingerprint


KEPT = {
    "moves on": "self.left = self.left.roll(epoch, 0)",
    "begins again": "self.left = self.left.roll(1, 0) if epoch else self.left.sort(0)[0]",
    "touches the first": "self.left = self.left + epoch",
}
"""What a class may do before it gives batches, so that they depend on the epochs before."""


@pytest.mark.parametrize("kept", KEPT)
def test_batches_are_of_their_epoch_alone(write, tmp_path, kept):
    """What is kept from epoch to epoch is refused: a training that is resumed has not seen those before."""
    module = write()
    path = tmp_path / f"{module}.py"
    order = "        order = torch.randperm("
    path.write_text(path.read_text().replace(order, f"        {KEPT[kept]}\n{order}", 1))
    with pytest.raises(
        TaskError, match=r"epoch=[01], seed=0\) gave other batches .* keep nothing from"
    ) as caught:
        open_task(f"{module}:Sums")
    assert "\n" not in str(caught.value)


def test_an_epoch_without_a_batch_is_refused(write, tmp_path):
    """It would count as one that was trained, with a loss of zero."""
    module = write()
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text().replace("order.split(16)", "order.split(16) if epoch < 2 else ()"))
    task = open_task(f"{module}:Sums")
    with pytest.raises(TaskError, match=r"training_batches\(epoch=2, seed=0\) gives no batch"):
        train(task.build(f"{module}:build"), task, TrainSpec(epochs=3, device="cpu"))


def test_agreement_is_a_fraction(write):
    """A task that defines it is asked; what is no fraction in [0, 1] is refused."""

    def agreed(more):
        module = write(more=more)
        task = open_task(f"{module}:Sums")
        network = task.build(f"{module}:build").eval()
        with torch.no_grad():
            evaluation = task.evaluate(lambda inputs: network(*inputs))
        return task.agreement(evaluation, evaluation)

    assert agreed("pass") is None
    assert agreed("def agreement(self, a, b): return (a[0] == b[0]).float().mean()") == 1.0
    assert agreed("def agreement(self, a, b): return len(a[1]) / 64") == 0.25
    for wrong, said in (
        ("2.0", "got 2.0"),
        ("None", "got None"),
        ("a[0]", "got 16"),
        ("float('nan')", "got nan"),
    ):
        with pytest.raises(TaskError, match=rf"agreement\(\) must return a fraction in \[0, 1\]; {said}"):
            agreed(f"def agreement(self, a, b): return {wrong}")


def test_errors_of_a_backend_are_not_the_tasks(write):
    """What predict() raises of ours goes through a user's evaluate() as it is."""
    task = open_task(f"{write()}:Sums")

    def predict(inputs):
        raise ModelError("cannot evaluate")

    with pytest.raises(ModelError, match=r"^cannot evaluate$"):
        task.evaluate(predict)


@pytest.mark.parametrize("how", [{"distill_weight": 0.5}, {"cut_out": 4}], ids=str)
def test_what_needs_images_or_logits_is_refused_before_training(write, tmp_path, how):
    """Only logits are distilled, only images cut out: the recipe is refused when the specs are made."""
    module, workspace = write(), Workspace(Store(tmp_path / "store"), ProgressDisplay())
    grid = make_grid({"task": f"{module}:Sums", "model": f"{module}:build", "fine_tune": how})
    with pytest.raises(TaskError, match=f"{next(iter(how))} must be 0"):
        ensure_variant(list(variants(grid))[1], grid, workspace)


def test_a_task_of_ours_is_made_of_a_dataset():
    """`classification` is a name in TASKS: it asks for the dataset, a user's task does not."""
    from tests.helpers.factories import bright_images

    assert load_task("classification", bright_images).images.spec.classes == 10
