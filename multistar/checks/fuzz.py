"""Valid tables with mutated bytes through the readers: stars, or one line that says what is wrong.

Anything else (another exception, a message of several lines, more than SLOW seconds, a crash) is a
failure, whose file is kept.
"""

import collections
import signal
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.chunks import read_chunks
from multistar.io.write import to_astropy
from multistar.stars import read_stars

SLOW = 20  # seconds for one small file
ASTROPY_FORMATS = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits", "vot": "votable"}
FORMATS = ("csv", "csv.gz", "ecsv", "fits", "vot", "parquet")
TEXT_FORMATS = ("csv", "csv.gz", "ecsv")
VECTORS = ("bp_coefficients", "bp_coefficient_errors")
# Words that readers may stumble over, between the bars.
WORDS = (b"\n|,|\"|\0|NaN|-1|1e999|e9999999999|99999999999999999999|\xff\xfe|<|>|#|'|\x80").split(
    b"|"
)
MOST_FAULTS, LONGEST = 5, 2**7
SHARE_CUT = 0.2  # of the faults that would cut off the end


def make_valid_file(ending: str, folder: Path, stars: int = 4, orders: int = 6) -> bytes:
    """Write a small table with every kind of column that the format holds; return its bytes."""
    rng = np.random.default_rng(0)
    columns = {
        "source_id": np.arange(stars) + 2**60,
        "parallax": rng.normal(size=stars),
        "parallax_error": rng.uniform(0.1, 1, stars),
        "phot_g_mean_mag": rng.uniform(10, 15, stars),
        "teff": rng.uniform(4000, 6000, stars),
        "name": np.array([f"star {i}" for i in range(stars)]),
    }
    for name in VECTORS:
        columns[name] = _make_vectors(np.abs(rng.normal(size=(stars, orders))), ending)
    table, path = pa.table(columns), folder / f"valid.{ending}"
    if ending == "parquet":
        pq.write_table(table, path)
    elif ending == "csv.gz":
        table.to_pandas().to_csv(path, index=False)
    else:
        to_astropy(table).write(path, format=ASTROPY_FORMATS[ending])
    return path.read_bytes()


def _make_vectors(vectors: np.ndarray, ending: str):
    if ending in TEXT_FORMATS:
        texts = []
        for row in vectors:
            texts.append("(" + ", ".join(f"{x:.4f}" for x in row) + ")")
        return np.array(texts)
    if ending == "fits":
        return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return list(vectors)


def mutate_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Put one to five faults into a file.

    Bytes are changed, cut out or doubled, words put in, digits replaced; the end is cut off.
    """
    data = bytearray(content)
    for _ in range(rng.integers(1, MOST_FAULTS + 1)):
        at = int(rng.integers(len(data) or 1))
        length = int(2 ** rng.uniform(0, np.log2(LONGEST)))
        match rng.integers(6):
            case 0:
                data[at : at + 1] = bytes([rng.integers(256)])
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at:at] = WORDS[rng.integers(len(WORDS))]
            case 4:
                digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
                if digits:
                    data[digits[rng.integers(len(digits))]] = 48 + int(rng.integers(10))
            case 5:
                if rng.random() < SHARE_CUT:
                    del data[at:]
    return bytes(data)


def read_case(path: Path) -> str:
    """Read a table whole and in parts.

    Returns
    -------
    str
        "stars", or "refused" for an error of one line.

    Raises
    ------
    AssertionError
        If the message of the error has several lines. Other errors of the readers, which must not
        be, pass through.
    """
    try:
        read_stars(path)
        for part in read_chunks(path, 3):
            read_stars(part)
    except (ValueError, FileNotFoundError) as error:
        if len(str(error).splitlines()) != 1:
            raise AssertionError(f"not one line: {error}") from error
        return "refused"
    return "stars"


def fuzz_format(ending: str, seconds: float, seed: int, keep: Path) -> dict:
    """Read mutated files of one format for some time.

    Parameters
    ----------
    keep
        Folder for the files of failures, named by seed and case.

    Returns
    -------
    dict
        `format`, `cases`, `failures`, and `outcomes`, how often each was seen.
    """
    counts, failures, case = collections.Counter(), 0, 0
    begun = time.monotonic()
    signal.signal(signal.SIGALRM, _raise_too_slow)
    with tempfile.TemporaryDirectory() as name:
        content, path = make_valid_file(ending, Path(name)), Path(name) / f"case.{ending}"
        while time.monotonic() - begun < seconds:
            path.write_bytes(mutate_bytes(content, np.random.default_rng([seed, case])))
            signal.alarm(SLOW)
            try:
                counts[read_case(path)] += 1
            except Exception as error:
                failures += 1
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{case}.{ending}").write_bytes(path.read_bytes())
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(where.filename).name}:{where.lineno}"
                counts[f"{type(error).__name__} at {place}"] += 1
                text = str(error)[:300]
                print(f"{ending} case {case}: {type(error).__name__}: {text!r}")
            finally:
                signal.alarm(0)
            case += 1
    return {"format": ending, "cases": case, "failures": failures, "outcomes": dict(counts)}


def _raise_too_slow(number, frame):
    raise TimeoutError(f"more than {SLOW} s")
