"""What a program reads from standard output."""

import io
import sys

from pruning_core.console.streams import print_content


class Raw(io.RawIOBase):
    """A file that remembers what has arrived."""

    def __init__(self):
        super().__init__()
        self.arrived = b""

    def writable(self):
        return True

    def write(self, content):
        self.arrived += bytes(content)
        return len(content)


def test_pieces_arrive_before_the_next_one_is_made(monkeypatch):
    """Rows of long work can be read while it goes on; others are written together."""
    for at_once, expected in ((True, [b"", "ä\n".encode()]), (False, [b"", b""])):
        raw, seen = Raw(), []
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw), encoding="ascii"))

        def pieces(raw=raw, seen=seen):
            for piece in ("ä\n", "b\n"):
                seen.append(raw.arrived)
                yield piece

        print_content(pieces(), at_once=at_once)
        assert seen == expected
        assert raw.arrived == "ä\nb\n".encode()
