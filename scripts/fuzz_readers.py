"""Valid tables with mutated bytes through the readers: each gives stars or one line that says what is wrong.

python scripts/fuzz_readers.py --seconds 60 --seed 1 [--formats csv fits]

Anything else (another exception, a message of several lines, more than SLOW seconds, a crash) is printed with the
seed of the case, its file is kept in --keep, and the exit code is 1. Memory is limited to --gigabytes.
"""

import argparse
import collections
import faulthandler
import resource
import signal
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.chunks import read_chunks
from multistar.io.write import to_astropy
from multistar.stars import read_stars

SLOW = 20  # seconds for one small file
PLAIN = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits", "vot": "votable"}
FORMATS = ("csv", "csv.gz", "ecsv", "fits", "vot", "parquet")
WORDS = (
    b"\n", b",", b'"', b"\0", b"NaN", b"-1", b"1e999", b"e9999999999", b"9" * 20, b"\xff\xfe", b"<", b">", b"#",
    b"'", b"\x80",
)  # fmt: skip


def valid(ending: str, folder: Path, stars: int = 4, orders: int = 6) -> bytes:
    """A small table of every kind of column that the format can hold."""
    rng = np.random.default_rng(0)
    columns = {
        "source_id": np.arange(stars) + 2**60, "parallax": rng.normal(size=stars),
        "parallax_error": rng.uniform(0.1, 1, stars), "phot_g_mean_mag": rng.uniform(10, 15, stars),
        "teff": rng.uniform(4000, 6000, stars), "name": np.array([f"star {i}" for i in range(stars)]),
    }  # fmt: skip
    for name in ("bp_coefficients", "bp_coefficient_errors"):
        vectors = np.abs(rng.normal(size=(stars, orders)))
        texts = ["(" + ", ".join(f"{x:.4f}" for x in row) + ")" for row in vectors]
        columns[name] = np.array(texts) if ending in ("csv", "csv.gz", "ecsv") else list(vectors)
    table, path = pa.table(columns), folder / f"valid.{ending}"
    if ending == "parquet":
        pq.write_table(table, path)
    elif ending == "csv.gz":
        table.to_pandas().to_csv(path, index=False)
    else:
        if ending == "fits":
            table = table.set_column(6, "bp_coefficients", _fixed(columns["bp_coefficients"]))
            table = table.set_column(
                7, "bp_coefficient_errors", _fixed(columns["bp_coefficient_errors"])
            )
        to_astropy(table).write(path, format=PLAIN[ending])
    return path.read_bytes()


def _fixed(rows: list[np.ndarray]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(rows)), len(rows[0]))


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to five faults: bytes changed, cut out, doubled, words put in, digits replaced, the end cut off."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at, length = int(rng.integers(len(data) or 1)), int(2 ** rng.uniform(0, 7))
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
                if rng.random() < 0.2:
                    del data[at:]
    return bytes(data)


def outcome(path: Path) -> str:
    """ "stars", or the fault in few words; AssertionError, or whatever the readers raise, for what must not be."""
    try:
        read_stars(path)
        for part in read_chunks(path, 3):
            read_stars(part)
    except (ValueError, FileNotFoundError) as error:
        assert len(str(error).splitlines()) == 1, f"not one line: {error}"
        return "refused"
    return "stars"


def fuzz(ending: str, seconds: float, seed: int, keep: Path) -> int:
    """Number of cases that failed."""
    counts, failures, start, case = collections.Counter(), 0, time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name:
        content, path = valid(ending, Path(name)), Path(name) / f"case.{ending}"
        while time.monotonic() - start < seconds:
            path.write_bytes(mutated(content, np.random.default_rng([seed, case])))
            signal.alarm(SLOW)
            try:
                counts[outcome(path)] += 1
            except Exception as error:
                failures += 1
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{case}.{ending}").write_bytes(path.read_bytes())
                where = traceback.extract_tb(error.__traceback__)[-1]
                counts[f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"] += 1
                print(f"{ending} case {case}: {type(error).__name__}: {str(error)[:300]!r}")
            finally:
                signal.alarm(0)
            case += 1
    print(f"{ending}: {case} cases, {dict(counts)}", flush=True)
    return failures


def _too_slow(number, frame):
    raise TimeoutError(f"more than {SLOW} s")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz"), help="folder for the files of failed cases"
    )
    parser.add_argument("--gigabytes", type=int, default=16, help="of address space")
    args = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _too_slow)
    resource.setrlimit(resource.RLIMIT_AS, (args.gigabytes << 30, args.gigabytes << 30))
    return int(any([fuzz(ending, args.seconds, args.seed, args.keep) for ending in args.formats]))


if __name__ == "__main__":
    raise SystemExit(main())
