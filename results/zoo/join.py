"""Join what `pruning-bench plan … -o FILE` kept, in one or several runs, into a table, and say what it shows.

    python results/zoo/join.py TABLE.csv FILE.json…

Of a network and method that several files have, the last file counts; of those that no file has, the rows
that the table has already. Files may be packed (`.json.xz`).
Exit code 1 if a pair has an error or not all ratios, or MACs or parameters rise with the ratio.
"""

import csv
import json
import lzma
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

Row = dict[str, Any]
Cells = dict[str, str]

COLUMNS = [
    *("model", "method", "ratio", "image", "macs", "params", "dense_macs", "dense_params", "achieved_ratio"),
    *("exhausted", "proof", "groups_kept_whole", "groups", "kept_whole", "reload", "train"),
    *("seconds", "check_seconds", "cutting", "error"),
]

RATIOS = {0.25, 0.5, 0.75, 0.9}
CHECKS = ("reload", "train")

_OF_ITS_KIND = re.compile(r"^as .*, of its kind: ")


def read_pairs(files: list[str]) -> dict[tuple[str, str], list[Row]]:
    """Read the rows of each network and method, by rising ratio."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for name in files:
        raw = Path(name).read_bytes()
        rows = json.loads(lzma.decompress(raw) if name.endswith(".xz") else raw)
        for pair in dict.fromkeys((row["model"], row["method"]) for row in rows):
            own = [row for row in rows if (row["model"], row["method"]) == pair]
            pairs[pair] = sorted(own, key=lambda row: row["ratio"])
    return pairs


def reasons(row: Row) -> str:
    """Return for each reason the first group that has it, and how many more."""
    groups: dict[str, list[str]] = {}
    for group in row["kept_whole"]:
        groups.setdefault(_OF_ITS_KIND.sub("", group["reason"]), []).append(group["root"])
    texts = (
        f"{roots[0]}{f' and {len(roots) - 1} more' if roots[1:] else ''}: {why}"
        for why, roots in groups.items()
    )
    return "; ".join(texts)


def cells(row: Row) -> Cells:
    """Return the row as `TABLE` has it: a text for each of `COLUMNS`."""
    shown = {
        **row,
        **row.get("checks", {}),
        "image": "x".join(map(str, row["image"])),
        "groups_kept_whole": len(row["kept_whole"]),
        "kept_whole": reasons(row),
        "cutting": row["pruned_by"].rpartition(" ")[2],
    }
    return {name: str(shown.get(name, "")) for name in COLUMNS}


def read_table(table: Path) -> dict[tuple[str, str], list[Cells]]:
    """Read the table that is there: the rows of each network and method."""
    pairs: dict[tuple[str, str], list[Cells]] = {}
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                pairs.setdefault((row["model"], row["method"]), []).append(row)
    return pairs


def faults(rows: list[Cells]) -> list[str]:
    """Return what is wrong with the rows of one pair."""
    found = [row["error"] for row in rows if row["error"]]
    if {float(row["ratio"]) for row in rows} != RATIOS:
        found.append(f"ratios {[row['ratio'] for row in rows]}")
    if not found:
        found += [
            f"{name} rise"
            for name in ("macs", "params")
            for before, after in pairwise(rows)
            if int(after[name]) > int(before[name])
        ]
        found += [f"{name} failed" for row in rows for name in CHECKS if row[name] != "True"]
    return [f"{rows[0]['model']}, {rows[0]['method']}: {text}" for text in found]


def main(table: str, *files: str) -> int:
    """Write the table and print what it shows."""
    new = {pair: [cells(row) for row in own] for pair, own in read_pairs(list(files)).items()}
    pairs = dict(sorted((read_table(Path(table)) | new).items()))
    rows = [row for own in pairs.values() for row in own]
    with Path(table).open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    found = [fault for own in pairs.values() for fault in faults(own)]
    print("\n".join(found))
    whole = {pair: any(row["kept_whole"] for row in own) for pair, own in pairs.items()}
    seconds = [float(row["seconds"]) for row in rows]
    networks = {model for model, _ in pairs}
    print(f"{len(networks)} networks, {len(pairs)} pairs, {len(rows)} rows, {len(found)} faults")
    print("proofs:", dict(Counter(row["proof"] for row in rows)))
    print("cutting:", dict(Counter(row["cutting"] for row in rows)))
    print("rows with all groups cut:", sum(not row["kept_whole"] for row in rows))
    print("networks with groups whole:", *sorted({model for (model, _), some in whole.items() if some}))
    print(f"seconds a row: median {median(seconds)}, at most {max(seconds)}, in all {sum(seconds):.0f}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
