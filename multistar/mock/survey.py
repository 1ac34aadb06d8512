"""Mock stars as a survey would deliver them: measurements with errors, labels with errors, and the truth."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import astropy.units as u
import numpy as np
import pyarrow as pa
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy_healpix import HEALPix

from multistar import __version__
from multistar.io.write import to_arrow
from multistar.mock import noise
from multistar.mock.activity import draw_activity
from multistar.mock.dust import DustDisc
from multistar.mock.evolution import PHASES
from multistar.mock.galaxy import COMPONENTS
from multistar.mock.light_curves import with_light_curves, with_views
from multistar.mock.observe import Observation, observe
from multistar.mock.population import Population, draw_population
from multistar.mock.sed import BANDS
from multistar.mock.selection import SELECTIONS
from multistar.mock.variability.missions import MISSIONS
from multistar.modalities.gaia_xp.instrument import load_band
from multistar.quantities import QUANTITIES

BLOCK = (
    16384  # candidates per block; each block has its own random stream, so a survey can be streamed
)
LIGHT_CURVES_AT_ONCE = 500  # stars; 35 MB for Kepler
SOURCE_ID_STEP = (
    2**35
)  # a Gaia source_id is (HEALPix level-12 nested pixel) * 2^35 + a running number

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
    correlations: also write the coefficients' correlations, as the archive packs them;
    light_curves: names in MISSIONS, whose light curves are written as list columns, or with `views` as what a model
    sees of them (one mission only)."""

    seed: int = 0
    selection: str = "apogee-like"
    layout: str = "dr3"
    correlations: bool = False
    light_curves: tuple[str, ...] = ()
    views: bool = False

    def __post_init__(self):
        for name, known in (("selection", SELECTIONS), ("layout", LAYOUTS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; known are {sorted(known)}"
                )
        if unknown := sorted(set(self.light_curves) - set(MISSIONS)):
            raise ValueError(
                f"unknown missions {unknown} for light curves; known are {sorted(MISSIONS)}"
            )

        if self.views and len(self.light_curves) != 1:
            raise ValueError(
                f"a star has one view; name one mission for it, not {list(self.light_curves)}"
            )


def _identify(stars: Population, block: int) -> dict[str, np.ndarray]:
    """Coordinates [deg] and Gaia-like source_ids, unique over blocks."""
    galactic = SkyCoord(l=stars.l * u.rad, b=stars.b * u.rad, frame=Galactic())
    sky = galactic.transform_to(ICRS())
    pixel = HEALPix(nside=4096, order="nested").lonlat_to_healpix(sky.ra, sky.dec)
    source_id = np.asarray(pixel, np.int64) * SOURCE_ID_STEP + block * BLOCK + np.arange(len(stars))
    angles = {"ra": sky.ra, "dec": sky.dec, "l": galactic.l, "b": galactic.b}
    return {"source_id": source_id} | {
        name: angle.to_value(u.deg) for name, angle in angles.items()
    }  # type: ignore[union-attr]


def _measure(
    stars: Population, seen: Observation, config: SurveyConfig, rng: np.random.Generator
) -> dict:
    g_mag = seen.magnitudes[:, BANDS.index("g")]
    transits = noise.draw_transits(len(stars), rng)
    columns: dict = {}
    split = load_band("bp").n_basis
    for name, part in (("bp", seen.coefficients[:, :split]), ("rp", seen.coefficients[:, split:])):
        orders = LAYOUTS[config.layout][name]
        observed = noise.noisy_coefficients(name, part, g_mag, transits, rng, config.correlations)
        columns[f"{name}_coefficients"] = observed.value[:, :orders].astype(np.float32)
        columns[f"{name}_coefficient_errors"] = observed.sigma[:, :orders].astype(np.float32)
        if observed.correlation is not None:
            packed = noise.pack_correlations(observed.correlation[:, :orders, :orders])
            columns[f"{name}_coefficient_correlations"] = packed.astype(np.float32)
    value, error = noise.noisy_magnitudes(seen.magnitudes, rng)
    measured = {band: (value[:, i], error[:, i]) for i, band in enumerate(BANDS)}
    measured["parallax"] = noise.noisy_parallax(stars.distance, g_mag, rng)
    for name, (x, sigma) in measured.items():
        quantity = QUANTITIES[name]
        columns[quantity.columns[0]], columns[quantity.error_columns[0]] = x, sigma
    return columns


def _label(stars: Population, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Each label as surveyed (`teff`, `teff_error`) and as it is (`true_teff`); of a pair, the primary's."""
    columns = {}
    for name, error in LABEL_ERROR.items():
        truth = getattr(stars.star if hasattr(stars.star, name) else stars, name)
        sigma = error(truth)
        columns[name], columns[f"{name}_error"] = truth + rng.normal(size=len(truth)) * sigma, sigma
        columns[f"true_{name}"] = truth
    return columns


def _describe(
    stars: Population, seen: Observation, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What else is true of a system: population, chemistry, dust, companion, rotation, pulsation."""
    orbits = stars.orbits
    columns = {
        "component": np.array(COMPONENTS)[stars.component],
        "c_n": stars.c_n,
        "r_v": stars.r_v,
        "radius": stars.star.radius,
        "luminosity": stars.star.luminosity,
        "phase": np.array([*PHASES, "other"])[stars.star.phase],
        "binary": np.isfinite(orbits.period),
        "orbital_period": orbits.period,
        "inclination": orbits.inclination,
        "scaled_axis": orbits.scaled_axis,
        "mass_ratio": orbits.mass_ratio,
        "flux_ratio": seen.flux_ratio,
        "radius_ratio": orbits.radius_ratio,
        "companion_teff": orbits.companion.teff,
    }
    pulsation = stars.pulsation
    columns |= {"variability": pulsation.variability, "pulsation_period": pulsation.period}
    columns["pulsation_amplitude"] = pulsation.amplitude
    return columns | vars(draw_activity(stars, rng))


def survey_block(config: SurveyConfig, block: int) -> pa.Table:
    """The selected stars among the BLOCK candidates of one block; the same (config, block) gives the same stars.

    Light curves are not in it: they are large, and made by `with_light_curves` for a few stars at a time.
    """
    rng = np.random.default_rng([config.seed, block])
    selection = SELECTIONS[config.selection]
    stars = draw_population(BLOCK, rng, DustDisc(), selection.strata, selection.faintest)
    stars = stars.select(selection.may_take(stars))
    seen = observe(stars)
    keep = rng.permutation(np.flatnonzero(selection(stars, seen.magnitudes)))  # strata mixed
    stars, seen = stars.select(keep), seen.select(keep)
    columns = _identify(stars, block) | _measure(stars, seen, config, rng) | _label(stars, rng)
    columns |= _describe(stars, seen, rng)
    units = ", ".join(
        f"{q.columns[0]} [{q.unit}]" for q in QUANTITIES.values() if q.columns[0] in columns
    )
    return to_arrow(
        columns,
        {"multistar": __version__, "mock": json.dumps(dataclasses.asdict(config)), "units": units},
    )


class Place:
    """A place in the endless stream of a survey's stars: block, and row within it."""

    def __init__(self, config: SurveyConfig, block: int = 0, row: int = 0):
        self.config, self.block, self.row = config, block, row

    def take(self, n_stars: int) -> Iterator[pa.Table]:
        """The next `n_stars`, in tables of at most a block; afterwards the place is behind them."""
        number, table = None, pa.table({})
        while n_stars > 0:
            if number != self.block:
                number, table = self.block, survey_block(self.config, self.block)
            part = table[self.row : self.row + n_stars]
            if self.config.light_curves:
                part = self._with_light_curves(part[:LIGHT_CURVES_AT_ONCE])
            n_stars -= len(part)
            self.row += len(part)
            if self.row == len(table):
                self.block, self.row = self.block + 1, 0
            yield part

    def _with_light_curves(self, part: pa.Table) -> pa.Table:
        missions, seed = self.config.light_curves, self.config.seed
        return (
            with_views(part, missions[0], seed)
            if self.config.views
            else with_light_curves(part, missions, seed)
        )


def survey(n_stars: int, config: SurveyConfig) -> Iterator[pa.Table]:
    """The first `n_stars` of a survey, in tables of at most a block."""
    return Place(config).take(n_stars)
