"""A text file without its comment lines, as a stream of bytes."""

import gzip
import io
from pathlib import Path
from typing import Any

from multistar.io.untrusted import is_gzipped

BLOCK = 1 << 20


class WithoutComments(io.RawIOBase):
    """Leave out the lines that begin with #, but not what follows a # within a line.

    pandas would cut off a row at a # anywhere (`NGC 6819 #12`), and lose all columns to the right.

    Parameters
    ----------
    stream : binary file
        Closed with this one.
    """

    def __init__(self, stream: Any):
        self.stream = stream
        self._left = b""  # of a line that is not complete
        self._ready = b""
        self._quoted = False  # whether the next line begins within a quoted field
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._ended:
            block = self.stream.read(BLOCK)
            self._ended = not block
            whole = self._left + block
            end = len(whole) if self._ended else whole.rfind(b"\n") + 1
            self._ready, self._left = self._filter(whole[:end]), whole[end:]
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n

    def close(self) -> None:
        self.stream.close()
        super().close()

    def _filter(self, lines: bytes) -> bytes:
        if not lines.startswith(b"#") and b"\n#" not in lines:
            self._quoted ^= lines.count(b'"') % 2 == 1
            return lines
        kept = []
        for line in lines.splitlines(keepends=True):
            if line.startswith(b"#") and not self._quoted:
                continue
            self._quoted ^= line.count(b'"') % 2 == 1
            kept.append(line)
        return b"".join(kept)


def open_without_comments(path: Path) -> io.BufferedReader:
    """Open a text file, gzipped or not, without its comment lines."""
    opener = gzip.open if is_gzipped(path) or path.suffix.lower() == ".gz" else open
    return io.BufferedReader(WithoutComments(opener(path, "rb")), BLOCK)
