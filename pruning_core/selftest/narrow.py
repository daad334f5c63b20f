"""A table of rates on a terminal that is too narrow for it: its rows one below the other."""


def fit_rates(table: str, width: int) -> str:
    """Return a table in Markdown as it is where it fits, else each row as lines of `heading: value`.

    Args:
        table: Heading, rule, rows.
        width: Columns that there are.
    """
    lines = table.splitlines()
    if max(map(len, lines)) <= width:
        return table
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return "\n\n".join(
        "\n".join(f"{name}: {value}" for name, value in zip(header, row, strict=True)) for row in rows
    )
