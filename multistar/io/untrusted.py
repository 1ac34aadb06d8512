"""What is checked of a file of strangers before a parser sees it.

Addresses that a parser would open, what a small file expands to, sizes that it would reserve
memory for, units that it would compute for ever, and how long it may take.
"""

import gzip
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from xml.parsers import expat

import astropy.units as u
from astropy.io import fits, votable
from astropy.io.votable.tree import VOTableFile
from astropy.table import Table

GZIP = b"\x1f\x8b"
# What astropy would unpack as it reads; we cannot tell beforehand to how much.
OTHER_PACKING = {b"BZ": "bzip2", b"PK\x03\x04": "zip", b"\xfd7zXZ\x00": "xz", b"\x1f\x9d": "LZW"}
# Of gzipped files: what may be expanded is the larger of the two. Catalogues expand to 2-20 times
# their size.
MOST_EXPANSION = 100
FREE_BYTES = 1 << 28
LONGEST_UNIT = 200
# Powers of four digits and more, of numbers: 10**99999999 is computed digit by digit.
ENDLESS_POWER = re.compile(r"(\*\*|\^)\W*\d{4}|(?<![\d.])10\s*\(?\s*[+-]\s*\d{4}")
SECONDS = 600.0  # that reading a part of a table may take, by default
SLOWEST = 1e6  # bytes per second; large files that are read whole get time for each
UNIT_KEYWORD = re.compile(r"TUNIT\d+")


class TooSlow(ValueError):
    """Reading took longer than it may."""


class _Alarm(BaseException):
    """Raised wherever the program is; no `except Exception` of a parser may swallow it."""


def is_gzipped(path: Path) -> bool:
    """Return whether a file begins as gzip does, whatever it is called; readers look there, too."""
    with open(path, "rb") as stream:
        return stream.read(len(GZIP)) == GZIP


def check_expansion(path: Path) -> None:
    """Refuse a packed file that would fill the memory.

    Parameters
    ----------
    path : Path
        Any file; one that is not packed passes. Its first bytes tell, or the ending ".gz".

    Raises
    ------
    ValueError
        If it expands to more than FREE_BYTES and to more than MOST_EXPANSION times its size.
    EOFError, OSError
        If it is cut off, or not gzipped though its name says so.
    """
    if not is_gzipped(path) and path.suffix.lower() != ".gz":
        return
    most = max(FREE_BYTES, MOST_EXPANSION * path.stat().st_size)
    size = 0
    with gzip.open(path) as stream:
        while block := stream.read(1 << 20):
            size += len(block)
            if size > most:
                raise ValueError(
                    f"it expands to more than {most:,} bytes, "
                    f"{MOST_EXPANSION} times its size: unpack it"
                )


def parse_unit(text: str) -> u.UnitBase:
    """Parse the unit of a column.

    Parameters
    ----------
    text : str
        As a file states it.

    Returns
    -------
    astropy unit
        An `UnrecognizedUnit`, which converts to nothing, for words that are none.

    Raises
    ------
    ValueError
        For what would take for ever to parse.

    Examples
    --------
    >>> parse_unit("mas").to("arcsec")
    0.001
    """
    check_unit(text)
    parse: Any = u.Unit
    return parse(text, parse_strict="silent")


def check_unit(text: str) -> None:
    """Refuse a unit that would take for ever to parse; ValueError names it."""
    if len(text) > LONGEST_UNIT or ENDLESS_POWER.search(text):
        raise ValueError(f"the unit {text[:40]!r} is none: its powers or its length have no end")


def open_fits_table(path: Path, **options) -> Table:
    """Read the table of a FITS file whose units are sane.

    Parameters
    ----------
    path : Path
        The file.
    **options
        Of astropy's reader.

    Raises
    ------
    ValueError
        For a packed file other than gzip, an endless unit, a file without a table.
    """
    check_fits(path)
    return Table.read(path, format="fits", **options)


def check_fits(path: Path) -> None:
    """Refuse a FITS file that expands without end, or whose units would take for ever to parse.

    Raises
    ------
    ValueError, EOFError, OSError
        As `open_fits_table` and `check_expansion`.
    """
    _check_packing(path)
    check_expansion(path)
    with fits.open(path, memmap=True) as parts:
        part: Any
        for part in parts:
            for key, value in part.header.items():
                if UNIT_KEYWORD.fullmatch(key):
                    check_unit(str(value))


def open_votable(path: Path) -> VOTableFile:
    """Parse a VOTable that names no other file and states no absurd sizes.

    Raises
    ------
    ValueError
        For data at another address, whatever that is; for sizes that the file cannot hold; for an
        endless unit; for a packed file other than gzip.
    ExpatError
        If it is not XML.
    """
    _check_packing(path)
    check_expansion(path)
    size = path.stat().st_size
    most = max(FREE_BYTES, MOST_EXPANSION * size)
    rows = 0

    def check(tag: str, attributes: dict[str, str]) -> None:
        nonlocal rows
        given = {name.rpartition(":")[2].lower(): value for name, value in attributes.items()}
        tag = tag.rpartition(":")[2].upper()
        if tag == "STREAM" and "href" in given:
            raise ValueError(
                f"its data are at another address ({given['href'][:60]!r}), which is not opened: "
                "fetch them yourself"
            )
        if tag == "TABLE":
            rows = _whole_number(given.get("nrows", "0"))
        if tag in ("FIELD", "PARAM"):
            check_unit(given.get("unit", ""))
            _check_shape(given, rows if tag == "FIELD" else 1, most)

    parser = expat.ParserCreate()
    parser.StartElementHandler = check
    opener = gzip.open if is_gzipped(path) else open
    with opener(path, "rb") as stream:
        parser.ParseFile(stream)
    return votable.parse(path)


@contextmanager
def time_limit(seconds: float | None, what: str) -> Iterator[None]:
    """Stop what takes too long.

    Parameters
    ----------
    seconds : float or None
        None and threads other than the main one, where nothing can be stopped, have no limit.
    what : str
        For the message.

    Raises
    ------
    TooSlow
        Wherever the program is when the time is over.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise _Alarm

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Alarm:
        raise TooSlow(f"{what}: not read within {seconds:.0f} s; see --time-limit") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _check_packing(path: Path) -> None:
    """Refuse what readers would unpack without a bound."""
    with open(path, "rb") as stream:
        first = stream.read(8)
    for magic, name in OTHER_PACKING.items():
        if first.startswith(magic):
            raise ValueError(f"it is packed with {name}: unpack it, or pack it with gzip")


def _check_shape(field: dict[str, str], rows: int, most: int) -> None:
    """Refuse an array whose rows would be reserved memory that the file cannot fill."""
    per_row = 1
    for length in field.get("arraysize", "").rstrip("*").split("x"):
        per_row *= _whole_number(length) or 1
    if per_row * max(rows, 1) > most:
        raise ValueError(
            f"column {field.get('name', '')[:40]!r} of {rows} rows of "
            f"{field.get('arraysize', '1')[:40]} is more than the file can hold"
        )


def _whole_number(text: str) -> int:
    """0 for what is none; the parser says so itself."""
    text = text.strip()
    if len(text) > 18:
        raise ValueError(f"{text[:40]!r} is no size of a table")
    return int(text) if text.isascii() and text.isdigit() else 0
