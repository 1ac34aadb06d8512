"""Files of surveys, or objects of specutils -> one table with a row per star, which all verbs read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
from rich.progress import track

from multistar.modalities.spectrum.read import (
    ARM,
    ERROR,
    FLUX,
    GRID,
    NORMALISED,
    POWER,
    VELOCITY,
)
from multistar.modalities.spectrum.surveys import apogee, desi, galah, lamost, sdss
from multistar.modalities.spectrum.surveys.contents import OneSpectrum

# Those that a name tells come first; the others open the file.
SURVEYS: dict[str, ModuleType] = {
    "sdss": sdss,
    "apogee": apogee,
    "galah": galah,
    "lamost": lamost,
    "desi": desi,
}
ENDINGS = (".fits", ".fits.gz", ".fit")


def read_files(
    paths: Iterable[str | Path],
    survey: str | None = None,
    ids: Mapping[str, int] | None = None,
    quiet: bool = True,
) -> tuple[pa.Table, dict[str, str]]:
    """Read files of surveys, and folders of them, into one table.

    Parameters
    ----------
    paths : iterable of path
    survey : str, optional
        A key of SURVEYS; without it each file says whose it is.
    ids : mapping of str to int, optional
        File name, or the survey's own name of a star -> source_id. Without it the survey's own
        number is the id or, where it has none (APOGEE), the place among the spectra.
    quiet : bool
        Show no progress bar.

    Returns
    -------
    table : pa.Table
        source_id, name, survey, and the columns of `multistar.modalities.spectrum.read`: a row per
        star and survey, arms one after the other.
    left_out : dict of str to str
        File -> why it was not read.

    Raises
    ------
    FileNotFoundError
        If a path is not there.
    ValueError
        For an unknown survey, or if no file could be read.
    """
    if survey is not None and survey not in SURVEYS:
        raise ValueError(f"survey {survey!r} is unknown; known are {', '.join(SURVEYS)}")
    files = [file for path in paths for file in _list_files(Path(path))]
    found: dict[tuple, list[OneSpectrum]] = {}
    numbers: dict[tuple, int] = {}
    left_out: dict[str, str] = {}
    known: dict[str, int] = dict(ids or {})
    for file in track(files, f"{len(files)} files", disable=quiet):
        try:
            name = survey or _recognise(file)
            parts: list[OneSpectrum] = list(SURVEYS[name].read(file))
        except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            left_out[str(file)] = str(error) or type(error).__name__
            continue
        for part in parts:
            # fluxes and what is over the continuum are no arms of one spectrum
            key = (name, part.name, part.is_normalised)
            found.setdefault(key, []).append(part)
            numbers[key] = known.get(file.name, known.get(part.name, part.number))
    if not found:
        some = "; ".join(f"{Path(file).name}: {why}" for file, why in list(left_out.items())[:3])
        raise ValueError(f"none of {len(files)} files is a spectrum that can be read: {some}")
    return _make_table(_order_rows(found, numbers)), left_out


def _order_rows(found: Mapping[tuple, list[OneSpectrum]], numbers: Mapping[tuple, int]) -> list:
    """A row per star and survey: id, name, survey, arms in order; the place where there is no id."""
    rows = []
    for place, (key, parts) in enumerate(found.items()):
        survey, name, _ = key
        number = numbers[key] if numbers[key] >= 0 else place
        rows.append((number, name, survey, sorted(parts, key=lambda part: part.arm)))
    return rows


def read_specutils(spectra: Sequence[Any], source_id: Sequence[int]) -> pa.Table:
    """Make the same table of objects of specutils.

    Parameters
    ----------
    spectra : sequence of specutils.Spectrum
        In vacuum, of one dimension; their masks and uncertainties (any kind that gives variances)
        are used.
    source_id : sequence of int
        Of each.

    Returns
    -------
    pa.Table
        As that of `read_files`.

    Raises
    ------
    ValueError
        If there are not as many ids as spectra, or a spectrum has more dimensions.
    """
    rows = []
    for number, spectrum in zip(source_id, spectra, strict=True):
        flux = np.array(spectrum.flux.value, float)
        if flux.ndim != 1:
            raise ValueError(f"the spectrum of {number} has the shape {flux.shape}; expected (w,)")
        wavelength = spectrum.spectral_axis.to_value(u.nm, u.spectral())
        error = np.full(flux.shape, np.nan)
        if spectrum.uncertainty is not None:
            from astropy.nddata import StdDevUncertainty

            error = np.array(spectrum.uncertainty.represent_as(StdDevUncertainty).array, float)
        if spectrum.mask is not None:
            flux[np.asarray(spectrum.mask, bool)] = np.nan
        order = np.argsort(wavelength)
        part = OneSpectrum(
            str(number), int(number), wavelength[order], flux[order], error[order], np.nan
        )
        rows.append((int(number), str(number), "specutils", [part]))
    return _make_table(rows)


def _list_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.name.lower().endswith(ENDINGS))
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    return [path]


def _recognise(file: Path) -> str:
    for name, module in SURVEYS.items():
        if module.recognises(file):
            return name
    raise ValueError(f"not recognised as a spectrum of {', '.join(SURVEYS)}; name one by --survey")


def _make_table(rows: list[tuple[int, str, str, list[OneSpectrum]]]) -> pa.Table:
    """Arms of a star one after the other, all filled up with NaN to one length."""
    width = max(sum(len(part.flux) for part in parts) for *_, parts in rows)
    vectors = {name: np.full((len(rows), width), np.nan) for name in (FLUX, ERROR, GRID, ARM)}
    for row, (*_, parts) in enumerate(rows):
        columns = {
            FLUX: [part.flux for part in parts],
            ERROR: [part.error for part in parts],
            GRID: [part.wavelength for part in parts],
            # several spectra of one arm are told apart, too
            ARM: [np.full(len(part.flux), place) for place, part in enumerate(parts)],
        }
        for name, pieces in columns.items():
            joined = np.concatenate(pieces)
            vectors[name][row, : len(joined)] = joined
    first = [parts[0] for *_, parts in rows]
    table = {
        "source_id": pa.array([row[0] for row in rows], pa.int64()),
        "name": pa.array([row[1] for row in rows]),
        "survey": pa.array([row[2] for row in rows]),
        POWER: pa.array([_common_power(parts) for *_, parts in rows]),
        NORMALISED: pa.array([float(part.is_normalised) for part in first]),
        VELOCITY: pa.array([part.velocity for part in first]),
    }
    for name, values in vectors.items():
        flat = pa.array(values.astype(np.float64 if name == GRID else np.float32).ravel())
        table[name] = pa.FixedSizeListArray.from_arrays(flat, width)
    return pa.table(table)


def _common_power(parts: list[OneSpectrum]) -> float:
    """One resolving power for all arms: the lowest, which no line is narrower than."""
    return float(min(part.resolving_power for part in parts))
