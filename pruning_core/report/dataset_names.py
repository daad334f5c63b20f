"""What tables call a dataset, so that one name is one content: the same pixels and labels in every run.

Folders are named by their last name, which two may share, and which one folder need not have on two
machines; in older files every folder was called `folder`. What decides is the fingerprint.
"""

from collections.abc import Sequence

from pruning_core.records.run import Run

Content = tuple[str, str]
"""Name and fingerprint in the records."""

FOLDER = "folder"
_SHOWN = 8  # digits of a fingerprint


def name_datasets(runs: Sequence[Run]) -> dict[Content, str]:
    """Return what each dataset of some runs is called.

    One content under several folder names, one in each run, gets the first of them. Several contents of one
    name get the beginning of their fingerprints.
    """
    of_runs = [dict.fromkeys(content_of(record) for record in run.records) for run in runs]
    contents = dict.fromkeys(content for of_run in of_runs for content in of_run)
    names = {content: content[0] for content in contents}
    for fingerprint in dict.fromkeys(fingerprint for _, fingerprint in contents if fingerprint):
        same = [content for content in contents if content[1] == fingerprint]
        once = all(sum(content in of_run for content in same) <= 1 for of_run in of_runs)
        if once and all(is_folder_name(name) for name, _ in same):
            chosen = next((name for name, _ in same if name != FOLDER), FOLDER)
            names.update(dict.fromkeys(same, chosen))
    for name in dict.fromkeys(names.values()):
        fingerprints = {content[1] for content in contents if names[content] == name and content[1]}
        if len(fingerprints) > 1:
            for content in contents:
                if names[content] == name and content[1]:
                    names[content] = f"{name} ({content[1][:_SHOWN]})"
    return names


def content_of(record: dict[str, object]) -> Content:
    """Return the dataset's name and fingerprint in a record, empty where it says neither."""
    return str(record.get("dataset", "")), str(record.get("dataset_fingerprint", ""))


def is_folder_name(name: str) -> bool:
    """Tell whether records call a folder of images so."""
    return name == FOLDER or name.startswith(f"{FOLDER}-")
