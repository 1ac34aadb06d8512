"""Mock stars as a survey would deliver them: measurements with errors, labels with errors, and the truth."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy_healpix import HEALPix
from dust_extinction.parameter_averages import G23
from rich.progress import Progress

from multistar import __version__
from multistar.data.write import to_arrow
from multistar.files import atomic_write
from multistar.mock import noise
from multistar.mock.dust import DustDisc
from multistar.mock.population import COMPONENTS, Population, draw_population
from multistar.mock.sed import BANDS, load_sed_table
from multistar.mock.selection import SELECTIONS
from multistar.mock.xp_operator import load_band, xp_matrix
from multistar.quantities import QUANTITIES

BLOCK = 16384  # candidates per block; each block has its own random stream, so a survey can be streamed
CHUNK = 4000  # stars whose spectra are held at once
SOURCE_ID_STEP = 2**35  # a Gaia source_id is (HEALPix level-12 nested pixel) * 2^35 + a running number
R_SUN_PER_KPC = 6.957e8 / 3.0857e19
RV_GRID = np.linspace(2.4, 4.2, 10)

# Errors of the labels, as an APOGEE-like survey with seismic masses would quote them.
LABEL_ERROR: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "teff": lambda x: np.full_like(x, 25.0),
    "logg": lambda x: np.full_like(x, 0.05),
    "m_h": lambda x: np.full_like(x, 0.025),
    "alpha_m": lambda x: np.full_like(x, 0.02),
    "mass": lambda x: 0.06 * x,
    "age": lambda x: 0.15 * x,
    "ebv": lambda x: np.hypot(0.01, 0.05 * x),
    "distance": lambda x: 0.05 * x,
}

# XP orders per band; no DR4 basis is public yet, so "dr4-like" is the DR3 basis with BP cut to 51 orders.
LAYOUTS = {"dr3": {"bp": 55, "rp": 55}, "dr4-like": {"bp": 51, "rp": 55}}


@dataclass(frozen=True)
class SurveyConfig:
    """seed: same seed, same stars; selection: a name in SELECTIONS; layout: a name in LAYOUTS;
    correlations: also write the coefficients' correlations, as the archive packs them."""

    seed: int = 0
    selection: str = "apogee-like"
    layout: str = "dr3"
    correlations: bool = False

    def __post_init__(self):
        for name, known in (("selection", SELECTIONS), ("layout", LAYOUTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known are {sorted(known)}")


@lru_cache(maxsize=1)
def _operators() -> tuple[np.ndarray, np.ndarray]:
    """XP matrix (110, n_wave) and A(lambda)/A(V) for each R_V of RV_GRID (10, n_wave), float32."""
    wave = load_sed_table().wavelength
    curves = [G23(Rv=r_v)(np.clip(wave, 100, 30000) * u.nm) for r_v in RV_GRID]
    return xp_matrix(wave).astype(np.float32), np.array(curves, np.float32)


def extinction_curve(r_v: np.ndarray) -> np.ndarray:
    """(n, n_wave) A(lambda)/A(V) of Gordon et al. (2023), linear between tabulated R_V."""
    curves = _operators()[1]
    place = np.clip((r_v - RV_GRID[0]) / (RV_GRID[1] - RV_GRID[0]), 0, len(RV_GRID) - 1.001)
    left = place.astype(int)
    share = (place - left)[:, None].astype(np.float32)
    return curves[left] * (1 - share) + curves[left + 1] * share


def observe(stars: Population) -> tuple[np.ndarray, np.ndarray]:
    """Noise-free magnitudes (n, n_band) and XP coefficients (n, 110) [e-/s] of reddened stars."""
    table, xp = load_sed_table(), _operators()[0]
    magnitudes = np.empty((len(stars), len(BANDS)))
    coefficients = np.empty((len(stars), len(xp)))
    for start in range(0, len(stars), CHUNK):
        rows = slice(start, start + CHUNK)
        s = stars.select(rows)
        dilution = np.log(1e-10 * (s.radius * R_SUN_PER_KPC / s.distance) ** 2)  # erg s-1 cm-3 -> W m-2 nm-1
        ln_flux = table.ln_flux(s.teff, s.logg, s.m_h, s.alpha_m, s.c_n)
        ln_flux += dilution[:, None].astype(np.float32)
        a_v = (s.r_v * s.ebv).astype(np.float32)
        flux = np.exp(ln_flux - np.float32(0.4 * np.log(10)) * a_v[:, None] * extinction_curve(s.r_v))
        magnitudes[rows] = table.zero_point - 2.5 * np.log10(flux @ table.passband.T)
        coefficients[rows] = flux @ xp.T
    return magnitudes, coefficients


def _identify(stars: Population, block: int) -> dict[str, np.ndarray]:
    """Coordinates [deg] and Gaia-like source_ids, unique over blocks."""
    galactic = SkyCoord(l=stars.l * u.rad, b=stars.b * u.rad, frame=Galactic())
    sky = galactic.transform_to(ICRS())
    pixel = HEALPix(nside=4096, order="nested").lonlat_to_healpix(sky.ra, sky.dec)
    source_id = np.asarray(pixel, np.int64) * SOURCE_ID_STEP + block * BLOCK + np.arange(len(stars))
    angles = {"ra": sky.ra, "dec": sky.dec, "l": galactic.l, "b": galactic.b}
    return {"source_id": source_id} | {name: angle.to_value(u.deg) for name, angle in angles.items()}  # type: ignore[union-attr]


def _measure(stars: Population, magnitudes, coefficients, config: SurveyConfig, rng: np.random.Generator) -> dict:
    g_mag = magnitudes[:, BANDS.index("g")]
    transits = noise.draw_transits(len(stars), rng)
    columns: dict = {}
    split = load_band("bp").n_basis
    for name, part in (("bp", coefficients[:, :split]), ("rp", coefficients[:, split:])):
        orders = LAYOUTS[config.layout][name]
        observed = noise.noisy_coefficients(name, part, g_mag, transits, rng, config.correlations)
        columns[f"{name}_coefficients"] = observed.value[:, :orders].astype(np.float32)
        columns[f"{name}_coefficient_errors"] = observed.sigma[:, :orders].astype(np.float32)
        if observed.correlation is not None:
            packed = noise.pack_correlations(observed.correlation[:, :orders, :orders])
            columns[f"{name}_coefficient_correlations"] = packed.astype(np.float32)
    value, error = noise.noisy_magnitudes(magnitudes, rng)
    measured = {band: (value[:, i], error[:, i]) for i, band in enumerate(BANDS)}
    measured["parallax"] = noise.noisy_parallax(stars.distance, g_mag, rng)
    for name, (x, sigma) in measured.items():
        quantity = QUANTITIES[name]
        columns[quantity.columns[0]], columns[quantity.error_columns[0]] = x, sigma
    return columns


def _label(stars: Population, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Each label as surveyed (`teff`, `teff_error`) and as it is (`true_teff`)."""
    columns = {}
    for name, error in LABEL_ERROR.items():
        truth = getattr(stars, name)
        sigma = error(truth)
        columns[name], columns[f"{name}_error"] = truth + rng.normal(size=len(truth)) * sigma, sigma
        columns[f"true_{name}"] = truth
    return columns


def survey_block(config: SurveyConfig, block: int) -> pa.Table:
    """The selected stars among the BLOCK candidates of one block; the same (config, block) gives the same stars."""
    rng = np.random.default_rng([config.seed, block])
    selection = SELECTIONS[config.selection]
    stars = draw_population(BLOCK, rng, DustDisc(), selection.h_limit)
    magnitudes, coefficients = observe(stars)
    keep = selection(stars, magnitudes)
    stars, magnitudes, coefficients = stars.select(keep), magnitudes[keep], coefficients[keep]
    columns = _identify(stars, block) | _measure(stars, magnitudes, coefficients, config, rng) | _label(stars, rng)
    columns |= {"c_n": stars.c_n, "r_v": stars.r_v, "component": np.array(COMPONENTS)[stars.component]}
    units = ", ".join(f"{q.columns[0]} [{q.unit}]" for q in QUANTITIES.values() if q.columns[0] in columns)
    return to_arrow(columns, {"multistar": __version__, "mock": json.dumps(dataclasses.asdict(config)), "units": units})


def survey(n_stars: int, config: SurveyConfig) -> Iterator[pa.Table]:
    """Blocks of mock giants until `n_stars` have come; the last block is cut short."""
    block = 0
    while n_stars > 0:
        table = survey_block(config, block)[:n_stars]
        n_stars -= len(table)
        block += 1
        if len(table):
            yield table


def write_survey(n_stars: int, config: SurveyConfig, path: str | Path, overwrite: bool = False, quiet: bool = False):
    """Stream a mock survey to one Parquet file; memory does not grow with `n_stars`."""
    if n_stars < 1:
        raise ValueError(f"number of stars must be at least 1, got {n_stars}")
    with atomic_write(path, overwrite) as temporary, Progress(disable=quiet) as bar:
        task = bar.add_task("mock", total=n_stars)
        tables = survey(n_stars, config)
        first = next(tables)
        with pq.ParquetWriter(temporary, first.schema) as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table)
                bar.advance(task, len(table))
