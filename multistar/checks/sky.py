"""How right labels of real stars are without fine-tuning: `multistar check sky FOLDER`.

The Sun first, at distances where it is known what comes out; then samples with labels from
spectroscopy, and open clusters. Of LAMOST and Kepler only 40 % of the stars are judged, chosen by a
hash of the id; the mock's spectra are fitted to the others (`is_fitted`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multistar.checks.fitting.sky_anchors import SUN, is_fitted
from multistar.checks.metrics import coverage, scatter
from multistar.checks.real.tables import LAMOST_COLUMNS, read_giants, read_lamost
from multistar.checks.report import Report
from multistar.checks.results import write_result
from multistar.checks.sky_clusters import (
    CLUSTER_FILES,
    check_clusters,
    check_members,
    read_clusters,
)
from multistar.inference.dust_evidence import LEAST_ERROR, MAP_ERROR, with_dust
from multistar.inference.given import as_given
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.mock.noise import PARALLAX_ZERO_POINT
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import read_stars

SUN_DISTANCES = (10.0, 30.0, 100.0, 300.0, 1000.0)  # pc
SUN_BANDS = {
    "G BP RP": ("g", "bp", "rp"),
    "+ J H Ks": ("g", "bp", "rp", "j", "h", "ks"),
    "all eight": tuple(SUN),
}
SUN_TRUTH = {"teff": 5772.0, "logg": 4.438, "m_h": 0.0, "mass": 1.0, "age": 4.6, "ebv": 0.0}
SUN_ERRORS = {"g": 0.003, "bp": 0.003, "rp": 0.004}  # mag
SUN_PARALLAX_ERROR = 0.02  # mas
OTHER_ERROR = 0.022  # mag, of 2MASS and WISE
DWARF_LOGG = 3.8
# What labels of spectra are uncertain by, beside the errors that they state.
SPECTRA_ERRORS = {"teff": 40.0, "logg": 0.05, "m_h": 0.05}
OLD = 7.0  # Gyr, of Montalban et al. 2021


@dataclass(frozen=True)
class Sample:
    """Real stars with labels.

    Attributes
    ----------
    name : str
    table : DataFrame
        What read_stars reads.
    labels : mapping of str to (value, error)
        What predictions are compared with, (n,) each.
    given : mapping of str to (value, error)
        Labels that the model is told, (n,) each.
    prior : str, optional
        Population that they are said to be of; see model/populations.py.
    dust : str, optional
        Dust map that the model is told their E(B-V) of, by their places.
    """

    name: str
    table: pd.DataFrame
    labels: Mapping[str, tuple[np.ndarray, np.ndarray]]
    given: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    prior: str | None = None
    dust: str | None = None


def make_suns(bands: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Make the Sun as it would be measured at SUN_DISTANCES, without dust."""
    parsec = np.array(SUN_DISTANCES)
    table: dict[str, np.ndarray] = {"source_id": np.arange(1, len(parsec) + 1)}
    for band in bands:
        quantity = QUANTITIES[band]
        table[quantity.columns[0]] = SUN[band] + 5 * np.log10(parsec / 10)
        error = SUN_ERRORS.get(band, OTHER_ERROR)
        table[quantity.error_columns[0]] = np.full(len(parsec), error)
    table["parallax"] = 1000 / parsec + PARALLAX_ZERO_POINT
    table["parallax_error"] = np.full(len(parsec), SUN_PARALLAX_ERROR)
    return table


def check_sun(model: Model) -> list[dict]:
    """Predict the Sun from three sets of bands at five distances: rows with all labels."""
    rows = []
    for name, bands in SUN_BANDS.items():
        table = predict(model, read_stars(make_suns(bands)), quiet=True)
        words = table["status"].to_pylist()
        for i, parsec in enumerate(SUN_DISTANCES):
            row: dict = {"bands": name, "parsec": parsec}
            for label in SUN_TRUTH:
                row[label] = float(table[label][i].as_py())
            row["flagged"] = "outside_training" in words[i]
            rows.append(row)
    return rows


def read_samples(folder: Path) -> list[Sample]:
    """Read the labelled samples of a folder of real tables: those that are there."""
    samples = []
    for file, read in (("photometry", _lamost_samples), ("giants", _kepler_samples)):
        if (folder / file).is_dir():
            samples += read(folder)
    return samples


# pandas' own types say too little of what comes back: tables are Any below.
def _select_judges(frame: Any) -> Any:
    """The stars that nothing may be fitted to."""
    fitted = frame["source_id"].astype(str).map(is_fitted)
    return frame[~fitted]


def _lamost_samples(folder: Path) -> list[Sample]:
    frame: Any = read_lamost(folder)
    frame = _select_judges(frame[frame["parallax"] > 0])
    columns = {"teff": "teff", "logg": "logg", "m_h": "mh"}
    columns = {name: (theirs, f"{theirs}_err") for name, theirs in columns.items()}
    samples = []
    for name, which in (("dwarfs", frame["logg"] > DWARF_LOGG), ("giants", frame["logg"] < 3.5)):
        sample = _sample(f"LAMOST {name}", frame[which], columns, LAMOST_COLUMNS)
        ebv = frame.loc[which, "reddening_r"].to_numpy(float)
        dust = {"ebv": (ebv, np.hypot(LEAST_ERROR, MAP_ERROR * ebv))}
        samples += [sample, replace(sample, name=f"{sample.name}, dust known", given=dust)]
    return samples


def _kepler_samples(folder: Path) -> list[Sample]:
    frame: Any = read_giants(folder)
    frame = _select_judges(frame[frame["phot_bp_mean_mag"].notna() & frame["TEFF"].notna()])
    columns = {"teff": ("TEFF", "TEFF_ERR"), "logg": ("LOGG", "LOGG_ERR")}
    columns |= {"m_h": ("FE_H", "FE_H_ERR"), "mass": ("Mcorr", "Mcorr_err"), "age": ("Age", "")}
    old = (frame["M21_Age"] > OLD) & (frame["M21_FeH"] < -0.5)
    of_old = {"m_h": ("M21_FeH", "FE_H_ERR"), "mass": ("M21_Mass", "")}
    giants = _sample("Kepler giants", frame, columns, {})
    spectra = {name: giants.labels[name] for name in ("teff", "logg", "m_h")}
    spectra = {n: (x, np.hypot(e, SPECTRA_ERRORS[n])) for n, (x, e) in spectra.items()}
    of_rest = {name: giants.labels[name] for name in ("mass", "age")}
    name = "Kepler giants, spectra known"
    poor = _sample("old metal-poor giants", frame[old], of_old, {})
    return [
        giants,
        replace(giants, name="Kepler giants, place known", dust="disc"),
        replace(giants, name=name, labels=of_rest, given=spectra),
        poor,
        replace(poor, name=f"{poor.name}, prior halo", prior="halo"),
    ]


def _sample(name: str, frame: Any, columns: Mapping, renamed: Mapping) -> Sample:
    labels = {}
    for label, (value, error) in columns.items():
        known = frame[value].to_numpy(float)
        errors = frame[error].to_numpy(float) if error else np.zeros(len(frame))
        labels[label] = (known, np.where(errors > 0, errors, 0.0))
    measured = [quantity.columns[0] for quantity in QUANTITIES.values()]
    errors = [
        quantity.error_columns[0] for quantity in QUANTITIES.values() if quantity.error_columns
    ]
    names = {"source_id", "ra", "dec", *measured, *errors, "parallax_err"}
    bands = ["G", "BP", "RP", "J", "H", "Ks", "W1", "W2", *(f"{band}P1" for band in "grizy")]
    names |= {*bands, *(f"{band}_err" for band in bands)}
    unwanted = {"teff", "logg", "mh", "m_h", "mass", "age", *renamed.values()}
    table = frame[[column for column in frame.columns if column in names - unwanted]]
    return Sample(name, table, labels)


def check_sample(model: Model, sample: Sample) -> list[dict]:
    """Compare a sample's labels with predictions: one row per label.

    `bias` is the median of predicted - known and `mad_std` the scatter; `held` is the share of
    labels in the 68 % interval, widened by their errors, and `held_after_offset` that after one
    constant offset, the bias, is taken off.
    """
    measured = sample.table
    for name, (known, error) in sample.given.items():
        measured = measured.assign(**{name: known, f"{name}_error": error})
    stars, given = read_stars(measured), as_given(sample.given.keys())
    if sample.dust is not None:
        stars, given = with_dust(model, stars, sample.dust, given)
    table = predict(model, stars, quiet=True, given=given, prior=sample.prior)
    words = table["status"].to_pylist()
    flagged = float(np.mean(["outside_training" in word for word in words]))
    rows = []
    for label, (known, error) in sample.labels.items():
        value, low, high = (table[label + end].to_numpy() for end in ("", "_lower", "_upper"))
        good = np.isfinite(known) & np.isfinite(value)
        if good.sum() < 10:
            continue
        value, low, high, known, error = (x[good] for x in (value, low, high, known, error))
        row: dict = {"sample": sample.name, "label": label, "stars": int(good.sum())}
        row |= scatter(value, known)
        widened = _widen(value, low, high, error)
        row["held"] = coverage(*widened, known)
        row["held_after_offset"] = coverage(*widened, known + row["bias"])
        rows.append(row | {"flagged": flagged})
    return rows


def _widen(value, low, high, error) -> tuple[np.ndarray, np.ndarray]:
    return value - np.hypot(value - low, error), value + np.hypot(high - value, error)


def check_sky(
    model: Model, folder: str | Path, report: Callable[[str], None] = lambda text: None
) -> dict:
    """Run all checks that the folder has tables for.

    Parameters
    ----------
    model : Model
    folder : str or Path
        With photometry/, giants/, clusters/ as in the data for development.
    report
        Called with a line before each part.

    Returns
    -------
    dict
        `sun`, `samples`, `clusters` and `members`: lists of rows.

    Raises
    ------
    ValueError
        If none of the tables is there.
    """
    folder = Path(folder)
    report("the Sun")
    result: dict[str, Any] = {"sun": check_sun(model), "samples": [], "clusters": [], "members": []}
    for sample in read_samples(folder):
        if sample.prior is not None and model.populations is None:
            continue
        report(f"{sample.name}, {len(sample.table)} stars")
        result["samples"] += check_sample(model, sample)
    clusters = read_clusters(folder)
    if clusters is not None:
        report(f"{clusters['cluster'].nunique()} clusters, {len(clusters)} stars")
        result["clusters"] = check_clusters(model, clusters)
        known = () if model.populations is None else model.populations.names
        priors = [None, *(name for name in ("young", "clusters") if name in known)]
        for prior in priors:
            report(f"members of young clusters, prior {prior or 'of all stars'}")
            result["members"] += check_members(model, clusters, prior)
    if not result["samples"] and clusters is None:
        raise ValueError(
            f"{folder}: neither photometry/, giants/ nor {CLUSTER_FILES[0]} is there; expected the "
            "layout of the folder of real data"
        )
    return result


def write_sky(result: dict, model: Model, folder: str | Path, overwrite: bool = False) -> None:
    """Write sky.json and sky.html into a folder, atomically."""
    with atomic_write(folder, overwrite, OWNED) as temporary:
        temporary.mkdir()
        n = {row["sample"]: row["stars"] for row in result["samples"]}
        write_result("sky", result, n, model.hash, temporary)
        page = Report("Labels of real stars, without fine-tuning")
        for key, title in TITLES.items():
            rows = result[key]
            if rows:
                page.section(title)
                cells = [[_format(value) for value in row.values()] for row in rows]
                page.table([name.replace("_", " ") for name in rows[0]], cells)
        page.write(temporary / "sky.html")


OWNED = ("sky.json", "sky.html")
TITLES = {
    "sun": "The Sun without dust: truth 5772 K, 4.44, 0.0, 1.00 Msun, 4.6 Gyr, E(B-V) 0",
    "samples": "Stars with labels from spectra, predicted - known",
    "clusters": "Open clusters by log age: predicted - catalogue, dex and mag",
    "members": "Single members of clusters younger than 1 Gyr: predicted - catalogue, dex and mag",
}


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
