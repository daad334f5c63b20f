"""One record: made of checked fields."""

from collections.abc import Iterable
from typing import Any

from pruning_core.records.fields import FIELD_BY_NAME, NULLABLE, SCHEMA_VERSION, Record
from pruning_core.records.values import value_problem


def make_record(**fields: Any) -> Record:
    """Check fields against the table and return them as a record; None in one of `NULLABLE` is left out.

    Raises:
        TypeError: If a field is not in the table, of another type, or has a value that `read_run` would
            refuse: a mistake of ours.
    """
    fields = {name: value for name, value in fields.items() if value is not None or name not in NULLABLE}
    for name, value in fields.items():
        field = FIELD_BY_NAME.get(name)
        if field is None:
            raise TypeError(f"the record has no field {name!r}")
        problem = value_problem(field, value)
        if problem:
            raise TypeError(f"record field {name!r} must be {problem}, got {value!r}")
    return {"schema_version": SCHEMA_VERSION, **fields}


def pack_correct_bits(right: Iterable[bool]) -> str:
    """Return which answers were right as hex digits, for the field `correct_bits`.

    The first image is the highest bit of the first digit; the last digit is filled up with zeros. So that
    the gate can compare two runs image by image.
    """
    bits = "".join("1" if item else "0" for item in right)
    digits = -(-len(bits) // 4)
    return f"{int(bits.ljust(4 * digits, '0'), 2):0{digits}x}" if bits else ""
