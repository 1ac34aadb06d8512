"""Labels of real spectra of two libraries, MILES and STELIB, beside learners that see the same pixels.

The mock's spectra follow four fifths of MILES (checks/fitting/optical.py). Judged are stars of the
other fifth, and stars of STELIB that are not among the four fifths: nothing was fitted to either.

MILES: Sanchez-Blazquez et al. 2006, MNRAS 371, 703. STELIB: Le Borgne et al. 2003, A&A 402, 433.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.ndimage import gaussian_filter1d

from multistar.checks.fitting.optical import is_kept_aside, plain_name
from multistar.checks.metrics import coverage, scatter
from multistar.checks.real.learners import (
    predict_with_kernel,
    predict_with_network,
    predict_with_trees,
    read_inputs,
)
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predict_columns
from multistar.finetune.tune import FinetuneConfig
from multistar.inference.predict import predict
from multistar.modalities.scalars.transforms import from_even_scale, to_even_scale
from multistar.modalities.spectrum.grid import FWHM_TO_SIGMA
from multistar.modalities.spectrum.read import ERROR, FLUX, GRID, MEDIUM, NORMALISED, POWER
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

LABELS = ("teff", "logg", "m_h")
RESOLVING_POWER = {"miles": 2000.0, "stelib": 1600.0}
LABEL_ERRORS = {"teff": 60.0, "logg": 0.1, "m_h": 0.08}  # of the catalogues, which state none
RELATIVE_ERROR = {"miles": 0.01, "stelib": 0.015}  # of a pixel; the libraries state none
LONGEST = 745.0  # nm: what lies beyond is not read by a model of the optical range
JUDGED = (4000.0, 7000.0)  # K, of the catalogue
MOST_DUST = 0.6  # mag of A_V, of spectra that are not free of it


@dataclass(frozen=True)
class Library:
    """Stars of one library.

    Attributes
    ----------
    table : pyarrow.Table
        Spectra and labels.
    names : (n,) ndarray of str
        Without blanks and leading zeros, so that the libraries can be compared.
    kept_aside : (n,) bool ndarray
        Whether the mock has not seen the star.
    """

    table: pa.Table
    names: np.ndarray
    kept_aside: np.ndarray

    def read(self, rows: np.ndarray) -> Stars:
        """Read some of the stars, with their labels."""
        return read_stars(self.table.take(pa.array(np.flatnonzero(rows))))


# What is made of a spectrum: (wavelength [nm], flux (n, w)) -> (wavelength, flux, lambda / FWHM)
Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, float | None]]


def _blue(wavelength: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray, None]:
    here = wavelength < 520
    return wavelength[here], flux[:, here], None


def _red(wavelength: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray, None]:
    here = wavelength > 520
    return wavelength[here], flux[:, here], None


def _coarse(wavelength: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    sigma = FWHM_TO_SIGMA * 520 / 300 / np.diff(wavelength).mean()
    return wavelength[::10], gaussian_filter1d(flux, sigma, axis=1)[:, ::10], 300.0


CHANGES: dict[str, Change] = {
    "whole": lambda wavelength, flux: (wavelength, flux, None),
    "below 520 nm": _blue,
    "above 520 nm": _red,
    "R = 300": _coarse,
    "no shape": lambda wavelength, flux: (wavelength, flux, None),
}


def read_library(folder: str | Path, name: str, change: str = "whole") -> Library:
    """Read the stars of a library that have all labels.

    Parameters
    ----------
    folder : str or Path
        Of the real data.
    name : str
        "miles" or "stelib".
    change : str
        What is made of the spectra: a key of CHANGES.
    """
    library = np.load(Path(folder) / "spectra" / f"{name}.npz", allow_pickle=False)
    names = np.array([plain_name(own) for own in library["name"]])
    usable = np.isfinite([library["teff"], library["logg"], library["fe_h"]]).all(0)
    if "a_v" in library:
        usable &= ~(library["a_v"] > MOST_DUST)
    here = library["wave_angstrom"] < 10 * LONGEST
    wavelength = library["wave_angstrom"][here] / 10
    flux = np.where(library["flux"] > 0, library["flux"], np.nan)[usable][:, here]
    wavelength, flux, power = CHANGES[change](wavelength, flux)
    n = len(flux)
    columns = {
        "source_id": pa.array(np.arange(n) + 1),
        "teff": pa.array(library["teff"][usable]),
        "logg": pa.array(library["logg"][usable]),
        "m_h": pa.array(library["fe_h"][usable]),
        FLUX: pa.array(list(flux.astype(np.float32))),
        ERROR: pa.array(list((RELATIVE_ERROR[name] * flux).astype(np.float32))),
        POWER: pa.array(np.full(n, power or RESOLVING_POWER[name])),
        NORMALISED: pa.array(np.full(n, float(change == "no shape"))),
    }
    metadata = {GRID: json.dumps(wavelength.tolist()), MEDIUM: "air"}
    table = pa.table(columns).replace_schema_metadata(metadata)
    miles = np.load(Path(folder) / "spectra" / "miles.npz", allow_pickle=False)["name"]
    seen = [plain_name(own) for own in miles[~is_kept_aside(miles)]]
    return Library(table, names[usable], ~np.isin(names[usable], seen))


def judge_zero_shot(model: Model, folder: str | Path) -> list[dict]:
    """Predict the labels of stars that the mock has not seen, from whole and from cut spectra.

    Returns
    -------
    list of dict
        For every library and change: `n` stars of 4,000-7,000 K, and the scatter, bias and the
        share inside of the 68 % interval of each label, widened by LABEL_ERRORS; `outside`, the
        share of flagged stars.
    """
    rows = []
    for name in RESOLVING_POWER:
        for change in CHANGES:
            library = read_library(folder, name, change)
            stars = library.read(library.kept_aside)
            table = predict(model, stars, quiet=True, labels=LABELS)
            judged = _is_judged(stars)
            row = {"library": name, "spectra": change, "n": int(judged.sum())}
            for label in LABELS:
                truth = stars.scalars[label].value[judged]
                found = scatter(table[label].to_numpy()[judged], truth)
                row |= {label: found["mad_std"], f"{label} bias": found["bias"]}
                low, high = _widen(table, label)
                row[f"{label} in 68 %"] = coverage(low[judged], high[judged], truth)
            words = np.array(table["status"].to_pylist())[judged]
            row["outside"] = float(np.mean(["outside_training" in word for word in words]))
            rows.append(row)
    return rows


def _widen(table: pa.Table, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (n,) of an interval that holds the error of the catalogue's label, too."""
    low, middle, high = (table[f"{label}{end}"].to_numpy() for end in ("_lower", "", "_upper"))
    error = LABEL_ERRORS[label]
    return middle - np.hypot(middle - low, error), middle + np.hypot(high - middle, error)


def _is_judged(stars: Stars) -> np.ndarray:
    teff = stars.scalars["teff"].value
    return (teff > JUDGED[0]) & (teff < JUDGED[1])


def compare_learners(model: Model, folder: str | Path, mode: str, seed: int = 0) -> list[dict]:
    """Learn labels from stars that the mock has seen, and predict those that it has not.

    Parameters
    ----------
    model : Model
    folder : str or Path
        Of the real data.
    mode : str
        Of fine-tuning.
    seed : int
        Of fine-tuning and the small network.

    Returns
    -------
    list of dict
        For MILES, and for stars of STELIB after learning from all of MILES: the scatter of each
        label by learner.
    """
    miles = read_library(folder, "miles")
    stelib = read_library(folder, "stelib")
    in_both = np.isin(miles.names, stelib.names[stelib.kept_aside])
    pairs = {
        "miles": (miles.read(~miles.kept_aside), miles.read(miles.kept_aside)),
        "miles -> stelib": (miles.read(~in_both), stelib.read(stelib.kept_aside)),
    }
    rows = []
    for name, (learnt, asked) in pairs.items():
        guesses = _predict_with_all(model, learnt, asked, mode, seed)
        judged = _is_judged(asked)
        for who, guess in guesses.items():
            row = {"stars": name, "learnt": len(learnt), "n": int(judged.sum()), "who": who}
            for label in LABELS:
                truth = asked.scalars[label].value[judged]
                found = scatter(guess[label][judged], truth)
                row |= {label: found["mad_std"], f"{label} bias": found["bias"]}
            rows.append(row)
    return rows


def _predict_with_all(
    model: Model, learnt: Stars, asked: Stars, mode: str, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Who -> label -> (n,) predictions."""
    table = predict(model, asked, quiet=True, labels=LABELS)
    guesses = {"zero shot": {label: table[label].to_numpy() for label in LABELS}}
    settings = FinetuneConfig(seed=seed)
    adapter = finetune(model, learnt, list(LABELS), mode, config=settings, quiet=True)
    columns, _ = predict_columns(adapter, asked)
    guesses[f"fine-tuned, {adapter.request.mode}"] = {label: columns[label][0] for label in LABELS}
    x, x_test = (read_inputs(model, stars, every=True) for stars in (learnt, asked))
    both = np.isfinite(x).any(0) & np.isfinite(x_test).any(0)
    x, x_test = x[:, both], x_test[:, both]
    labels = [to_even_scale(QUANTITIES[name], learnt.scalars[name].value) for name in LABELS]
    y = np.stack(labels, -1)
    found = {
        "PCA + kernel ridge": predict_with_kernel(x, y, x_test),
        "XGBoost": np.stack([predict_with_trees(x, label, x_test) for label in labels], -1),
        "small network": predict_with_network(x, y, x_test, seed),
    }
    for who, z in found.items():
        guesses[who] = {
            name: from_even_scale(QUANTITIES[name], z[:, i]) for i, name in enumerate(LABELS)
        }
    return guesses


def compare_libraries(model: Model, folder: str | Path) -> list[dict]:
    """Compare the labels of stars that both libraries saw.

    Returns
    -------
    list of dict
        For each label the `bias` and `mad_std` of MILES minus STELIB, of the model and of the
        `catalogue`, and the MAD-std of differences in units of their predicted errors (`in sigma`).
    """
    miles, stelib = (read_library(folder, name) for name in RESOLVING_POWER)
    _, one, other = np.intersect1d(miles.names, stelib.names, return_indices=True)
    tables, catalogues = [], []
    for library, rows in ((miles, one), (stelib, other)):
        stars = read_stars(library.table.take(pa.array(rows)))
        tables.append(predict(model, stars, quiet=True, labels=LABELS))
        catalogues.append(stars)
    rows = []
    for label in LABELS:
        first, second = (table[label].to_numpy() for table in tables)
        sigma = [
            (table[f"{label}_upper"].to_numpy() - table[f"{label}_lower"].to_numpy()) / 2
            for table in tables
        ]
        own = scatter(first, second)
        stated = scatter(*(stars.scalars[label].value for stars in catalogues))
        rows.append(
            {
                "label": label,
                "n": len(one),
                "bias": own["bias"],
                "mad_std": own["mad_std"],
                "in sigma": scatter((first - second) / np.hypot(*sigma), np.zeros(len(one)))[
                    "mad_std"
                ],
                "catalogue": stated["mad_std"],
            }
        )
    return rows
