"""Where the work is done: the store, the datasets, and the display that shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pruning_core.config.cells import Variant
from pruning_core.config.pictures import PictureOptions
from pruning_core.config.spec import CheckpointSpec, ModelSpec, key_of
from pruning_core.config.weights import WeightsChoice
from pruning_core.datasets import load_dataset
from pruning_core.datasets.base import Dataset
from pruning_core.datasets.normalization import normalize_dataset
from pruning_core.progress import ProgressDisplay
from pruning_core.store import Store
from pruning_core.store.checkpoint import Checkpoint
from pruning_core.store.resume import ResumeState
from pruning_core.tasks import load_task
from pruning_core.tasks.base import Task


@dataclass
class Workspace:
    """Where the work is done: the store, the datasets, and the display that shows it."""

    store: Store
    display: ProgressDisplay
    data_root: Path | None = None
    download: bool = False
    pictures: PictureOptions = field(default_factory=PictureOptions)
    before_first_training: Callable[[], None] | None = None
    """Called once, before anything is trained: it says how long all of it will take."""

    weights: dict[tuple[ModelSpec, WeightsChoice, str], str] = field(default_factory=dict)
    """Model, where its weights are, fingerprint of the dataset → hash of these weights."""

    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _tasks: dict[tuple[str, str], Task] = field(default_factory=dict)
    _checkpoints: dict[str, Checkpoint] = field(default_factory=dict)

    def dataset(self, name: str) -> Dataset:
        """Load a dataset, once."""
        if name not in self._datasets:
            cache = self.store.root / "datasets"
            dataset = load_dataset(
                name,
                data_root=self.data_root,
                cache=cache,
                download=self.download,
                display=self.display,
                pictures=self.pictures,
            )
            self._datasets[name] = normalize_dataset(dataset, self.pictures.normalize, name)
        return self._datasets[name]

    def task(self, variant: Variant) -> Task:
        """Return the task of a variant, opened once."""
        asked = (variant.task, variant.dataset)
        if asked not in self._tasks:
            self._tasks[asked] = load_task(variant.task, lambda: self.dataset(variant.dataset))
        return self._tasks[asked]

    def find(self, spec: CheckpointSpec) -> Checkpoint | None:
        """Return a stored checkpoint; read and verified once for each process."""
        key = key_of(spec)
        if key not in self._checkpoints:
            found = self.store.find(spec)
            if found is None:
                return None
            self._checkpoints[key] = found
        return self._checkpoints[key]

    def announce_training(self) -> None:
        """Call `before_first_training`, if it was not called before."""
        if self.before_first_training is not None:
            forecast, self.before_first_training = self.before_first_training, None
            forecast()

    @contextmanager
    def in_progress(self, label: str, resume: ResumeState) -> Iterator[None]:
        """Note on disk what is being done for a checkpoint, and say so when it does not end.

        Args:
            label: The work in words.
            resume: Of the checkpoint.
        """
        resume.note_step(label)
        with self.display.waiting_for(label, resume.note_silence):
            yield
