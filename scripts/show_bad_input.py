"""Feed bad tables to `multistar predict` and print what it says of each.

python scripts/show_bad_input.py --model MODEL
"""

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from astropy import units as u
from astropy.table import Column, Table

from multistar.cli.app import main as multistar
from multistar.mock.survey import SurveyConfig, survey_block

STARS = 5


def good() -> pd.DataFrame:
    return survey_block(SurveyConfig(seed=11), block=0)[:STARS].to_pandas()


def changed(column: str, value) -> pd.DataFrame:
    """One number of the second star replaced."""
    frame = good()
    if isinstance(frame[column].iloc[1], np.ndarray):
        frame.at[1, column] = np.r_[value, frame[column].iloc[1][1:]]
    else:
        frame.loc[1, column] = value
    return frame


def duplicate_ids() -> pd.DataFrame:
    frame = good()
    frame.loc[1, "source_id"] = frame["source_id"].iloc[0]
    return frame


def float_ids() -> pd.DataFrame:
    frame = good()
    frame["source_id"] = frame["source_id"].astype(float)
    return frame


def nothing_observed() -> pd.DataFrame:
    frame = good()
    for column in frame.columns.difference(["source_id"]):
        frame[column] = [None if i == 1 else x for i, x in enumerate(frame[column])]
    return frame


CASES = {
    "NaN parallax": lambda: changed("parallax", np.nan),
    "infinite magnitude": lambda: changed("j_m", np.inf),
    "magnitude 1e30": lambda: changed("j_m", 1e30),
    "missing code -999999999": lambda: changed("j_msigcom", -999999999.0),
    "negative error": lambda: changed("parallax_error", -0.1),
    "zero error": lambda: changed("parallax_error", 0.0),
    "infinite coefficient": lambda: changed("bp_coefficients", np.inf),
    "NaN coefficient": lambda: changed("bp_coefficients", np.nan),
    "nothing observed": nothing_observed,
    "no stars": lambda: good().head(0),
    "duplicate ids": duplicate_ids,
    "float ids": float_ids,
    "no id column": lambda: good().drop(columns="source_id"),
    "no measurement": lambda: good()[["source_id", "ra", "dec"]],
    "text in a number column": lambda: good().assign(parallax=["1", "bright", "2", "3", "4"]),
    "coefficients, errors differ": lambda: good().assign(
        bp_coefficient_errors=[np.ones(7)] * STARS
    ),
    "60 BP coefficients": lambda: good().assign(
        bp_coefficients=[np.ones(60)] * STARS, bp_coefficient_errors=[np.ones(60)] * STARS
    ),
}


def wrong_unit(folder: Path) -> Path:
    table = Table.from_pandas(good().drop(columns=[c for c in good() if "coefficient" in c]))
    table.replace_column("parallax", Column(table["parallax"], unit=u.km))
    table.write(folder / "wrong_unit.fits")
    return folder / "wrong_unit.fits"


def truncated(folder: Path) -> Path:
    path = folder / "truncated.parquet"
    good().to_parquet(path)
    path.write_bytes(path.read_bytes()[:-1000])
    return path


FILES = {
    "parallax in km": wrong_unit,
    "truncated file": truncated,
    "absent file": lambda folder: folder / "absent.fits",
    "unknown format": lambda folder: (
        folder.joinpath("stars.docx").write_text("x") and folder / "stars.docx"
    ),
}


def outcome(source: Path, model: str, folder: Path) -> str:
    """The status of the second star (or of the first), or the error line."""
    out, error = folder / "labels.parquet", io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        code = multistar(
            ["predict", str(source), "--model", model, "--out", str(out), "--overwrite"]
        )
    if code:
        return f"exit {code}: {error.getvalue().strip().replace(str(folder) + '/', '')[:170]}"
    status = pq.read_table(out)["status"].to_pylist()
    return f"{len(status)} rows out; status {status[1]!r}" if status else "0 rows out"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case, make in CASES.items():
            make().to_parquet(folder / "stars.parquet")
            print(f"{case:28s} {outcome(folder / 'stars.parquet', args.model, folder)}")
        for case, make_file in FILES.items():
            print(f"{case:28s} {outcome(make_file(folder), args.model, folder)}")


if __name__ == "__main__":
    main()
