"""A grid file of a test's own."""


def write(folder, text):
    """Write a grid file."""
    path = folder / "my.toml"
    path.write_text(text)
    return path
