"""Mock stars as a survey would deliver them: measurements, labels, their errors, and the truth."""

import dataclasses
import json
from collections.abc import Collection, Iterator
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
from multistar.mock.sampled import with_sampled_spectra
from multistar.mock.sed import BANDS
from multistar.mock.selection import SELECTIONS
from multistar.mock.spectra import SPECTROGRAPHS, as_published, with_spectra
from multistar.mock.variability.missions import MISSIONS
from multistar.modalities.gaia_xp.instrument import load_band
from multistar.quantities import QUANTITIES

# Candidates per block. Each block has its own random stream, so that a survey can be streamed.
BLOCK = 16384
SPECTRA_AT_ONCE = 2000  # stars; 150 MB while they are made
LIGHT_CURVES_AT_ONCE = 500  # stars; 35 MB for Kepler

# A Gaia source_id is (HEALPix level-12 nested pixel) * 2^35 + a running number.
SOURCE_ID_STEP = 2**35
HEALPIX_NSIDE = 4096  # level 12


@dataclass(frozen=True)
class LabelError:
    """Standard error of a label: a constant and a fraction of its value, added in quadrature."""

    constant: float = 0.0
    fraction: float = 0.0

    def evaluate(self, values: np.ndarray) -> np.ndarray:
        """Standard errors (n,) of `values` (n,), in the same units."""
        return np.hypot(self.constant, self.fraction * values)


# Errors of the labels, as an APOGEE-like survey with seismic masses would quote them.
LABEL_ERROR = {
    "teff": LabelError(constant=25.0),
    "logg": LabelError(constant=0.05),
    "m_h": LabelError(constant=0.025),
    "alpha_m": LabelError(constant=0.02),
    "mass": LabelError(fraction=0.06),
    "age": LabelError(fraction=0.15),
    "ebv": LabelError(constant=0.01, fraction=0.05),
    "distance": LabelError(fraction=0.05),
}

# Scatter [ln] of the errors of single stars around these: surveys differ, and a model that has seen
# one size of error only does not know what another means.
LABEL_SCATTER = 0.6

# XP orders by band. No DR4 basis is public yet: "dr4-like" is DR3's basis with BP cut to 51 orders.
LAYOUTS = {"dr3": {"bp": 55, "rp": 55}, "dr4-like": {"bp": 51, "rp": 55}}


@dataclass(frozen=True)
class SurveyConfig:
    """Settings of a mock survey; the same settings give the same stars.

    Attributes
    ----------
    seed : int
        Seed of all random numbers.
    selection : str
        Which stars are taken, a name in `SELECTIONS`.
    layout : str
        Number of XP coefficients per band, a name in `LAYOUTS`.
    correlations : bool
        Whether to write the correlations of the XP coefficients, too, packed as in the archive.
    light_curves : tuple of str
        Names in `MISSIONS`, whose light curves are written as list columns.
    views : bool
        Whether to write, instead of the light curve, what a model sees of it (one mission only).
    spectra : str
        Name in `SPECTROGRAPHS`, whose spectra are written; "" for none.
    published : bool
        Whether labels are on the scale of that spectrograph's pipeline; see `as_published`.
    sampled : bool
        Whether XP spectra are sampled over wavelength, as the archive also gives them, instead of
        coefficients.

    Raises
    ------
    ValueError
        For an unknown selection, layout, mission or spectrograph, for `views` without exactly one
        mission, and for sampled spectra of another layout than "dr3" or with correlations.
    """

    seed: int = 0
    selection: str = "apogee-like"
    layout: str = "dr3"
    correlations: bool = False
    light_curves: tuple[str, ...] = ()
    views: bool = False
    spectra: str = ""
    published: bool = False
    sampled: bool = False

    def __post_init__(self):
        if self.published and not self.spectra:
            raise ValueError("published labels are those of a spectrograph: name one as spectra")
        if self.spectra:
            _require_known("spectra", self.spectra, SPECTROGRAPHS)
        _require_known("selection", self.selection, SELECTIONS)
        _require_known("layout", self.layout, LAYOUTS)
        if self.sampled and (self.layout != "dr3" or self.correlations):
            raise ValueError("sampled spectra have the layout dr3, and no correlations")
        unknown = sorted(set(self.light_curves) - set(MISSIONS))
        if unknown:
            known = sorted(MISSIONS)
            raise ValueError(f"unknown missions {unknown} for light curves; known are {known}")
        if self.views and len(self.light_curves) != 1:
            missions = list(self.light_curves)
            raise ValueError(f"a star has one view; name one mission for it, not {missions}")


def _require_known(setting: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(f"unknown {setting} {value!r}; known are {sorted(known)}")


def survey_block(config: SurveyConfig, block: int) -> pa.Table:
    """Make the stars that the survey selects among the candidates of one block.

    Light curves are not in it: they are large, and are added to a few stars at a time.

    Parameters
    ----------
    config : SurveyConfig
        Settings of the survey.
    block : int
        Number of the block, from 0. The same (config, block) gives the same stars.

    Returns
    -------
    pyarrow.Table
        One row per star, in random order: at most `BLOCK` rows, and their number varies.
    """
    rng = np.random.default_rng([config.seed, block])
    selection = SELECTIONS[config.selection]
    strata, faintest = selection.strata, selection.faintest
    stars = draw_population(BLOCK, rng, DustDisc(), strata, faintest, selection.even)
    stars = stars.select(selection.may_take(stars))
    observation = observe(stars)

    taken = np.flatnonzero(selection(stars, observation.magnitudes))
    mixed = rng.permutation(taken)  # candidates come stratum by stratum
    stars = stars.select(mixed)
    observation = observation.select(mixed)

    columns = _identify_stars(stars, block)
    columns |= _measure_stars(stars, observation, config, rng)
    columns |= _label_stars(stars, rng)
    columns |= _describe_stars(stars, observation, rng)
    return to_arrow(columns, _metadata(config, columns))


def _metadata(config: SurveyConfig, columns: Collection[str]) -> dict[str, str]:
    units = []
    for quantity in QUANTITIES.values():
        name = quantity.columns[0]
        if name in columns:
            units.append(f"{name} [{quantity.unit}]")
    settings = json.dumps(dataclasses.asdict(config))
    return {"multistar": __version__, "mock": settings, "units": ", ".join(units)}


def _identify_stars(stars: Population, block: int) -> dict[str, np.ndarray]:
    """Coordinates [deg] and Gaia-like source_ids, which are unique over blocks."""
    galactic: SkyCoord = SkyCoord(l=stars.l * u.rad, b=stars.b * u.rad, frame=Galactic())
    equatorial: SkyCoord = galactic.transform_to(ICRS())
    healpix = HEALPix(nside=HEALPIX_NSIDE, order="nested")
    pixel = np.asarray(healpix.lonlat_to_healpix(equatorial.ra, equatorial.dec), np.int64)
    running_number = block * BLOCK + np.arange(len(stars))
    columns = {"source_id": pixel * SOURCE_ID_STEP + running_number}
    for frame, names in ((equatorial, ("ra", "dec")), (galactic, ("l", "b"))):
        for name in names:
            columns[name] = getattr(frame, name).to_value(u.deg)
    return columns


def _measure_stars(
    stars: Population, observation: Observation, config: SurveyConfig, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """XP coefficients, magnitudes and parallaxes with noise, and their errors."""
    g_mag = observation.magnitudes[:, BANDS.index("g")]
    columns = _measure_xp(observation.coefficients, g_mag, config, rng)

    values, errors = noise.noisy_magnitudes(observation.magnitudes, rng)
    measured = {}
    for i, band in enumerate(BANDS):
        measured[band] = values[:, i], errors[:, i]
    measured["parallax"] = noise.noisy_parallax(stars.distance, g_mag, rng)
    for name, (value, error) in measured.items():
        value_column = QUANTITIES[name].columns[0]
        error_column = QUANTITIES[name].error_columns[0]
        columns[value_column] = value
        columns[error_column] = error
    return columns


def _measure_xp(
    coefficients: np.ndarray, g_mag: np.ndarray, config: SurveyConfig, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Noisy coefficients of both bands in the survey's layout, from exact ones (n, 110)."""
    transits = noise.draw_transits(len(g_mag), rng)
    n_bp = load_band("bp").n_basis
    exact = {"bp": coefficients[:, :n_bp], "rp": coefficients[:, n_bp:]}
    columns = {}
    for band, orders in LAYOUTS[config.layout].items():
        observed = noise.noisy_coefficients(
            band, exact[band], g_mag, transits, rng, config.correlations
        )
        value = observed.value[:, :orders]
        sigma = observed.sigma[:, :orders]
        columns[f"{band}_coefficients"] = value.astype(np.float32)
        columns[f"{band}_coefficient_errors"] = sigma.astype(np.float32)
        if observed.correlation is not None:
            correlation = observed.correlation[:, :orders, :orders]
            packed = noise.pack_correlations(correlation)
            columns[f"{band}_coefficient_correlations"] = packed.astype(np.float32)
    return columns


def _label_stars(stars: Population, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Each label as surveyed (`teff`, `teff_error`) and as it is (`true_teff`); the primary's."""
    columns = {}
    for name, error in LABEL_ERROR.items():
        owner = stars.star if hasattr(stars.star, name) else stars
        truth = getattr(owner, name)
        scatter = np.exp(LABEL_SCATTER * rng.normal(size=len(truth)))
        sigma = error.evaluate(truth) * scatter
        columns[name] = truth + rng.normal(size=len(truth)) * sigma
        columns[f"{name}_error"] = sigma
        columns[f"true_{name}"] = truth
    return columns


def _describe_stars(
    stars: Population, observation: Observation, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What else is true of a system: its population, companion, rotation and pulsation."""
    orbits = stars.orbits
    phase_names = np.array([*PHASES, "other"])  # "other" is phase -1
    columns = {
        "component": np.array(COMPONENTS)[stars.component],
        "c_n": stars.c_n,
        "r_v": stars.r_v,
        "radius": stars.star.radius,
        "luminosity": stars.star.luminosity,
        "phase": phase_names[stars.star.phase],
        "binary": np.isfinite(orbits.period),
        "orbital_period": orbits.period,
        "inclination": orbits.inclination,
        "scaled_axis": orbits.scaled_axis,
        "mass_ratio": orbits.mass_ratio,
        "flux_ratio": observation.flux_ratio,
        "radius_ratio": orbits.radius_ratio,
        "companion_teff": orbits.companion.teff,
        "fill_out": orbits.fill_out,
        "variability": stars.pulsation.variability,
        "pulsation_period": stars.pulsation.period,
        "pulsation_amplitude": stars.pulsation.amplitude,
    }
    return columns | vars(draw_activity(stars, rng))


class SurveyCursor:
    """A position in the endless stream of a survey's stars.

    Parameters
    ----------
    config : SurveyConfig
        Settings of the survey.
    block, row : int
        The next star is this row of this block.
    """

    def __init__(self, config: SurveyConfig, block: int = 0, row: int = 0):
        self.config = config
        self.block = block
        self.row = row

    def take(self, n_stars: int) -> Iterator[pa.Table]:
        """Yield the next `n_stars` in tables of at most a block, and move behind them."""
        loaded = None
        table = pa.table({})
        while n_stars > 0:
            if loaded != self.block:
                loaded = self.block
                table = survey_block(self.config, self.block)
            part = table[self.row : self.row + n_stars]
            if self.config.spectra and len(part):
                part = part[:SPECTRA_AT_ONCE]
                part = with_spectra(part, self.config.spectra, self.config.seed)
            if self.config.sampled and len(part):
                part = with_sampled_spectra(part[:SPECTRA_AT_ONCE])
            if self.config.published:
                part = as_published(part, self.config.spectra)
            if self.config.light_curves:
                part = self._add_light_curves(part[:LIGHT_CURVES_AT_ONCE])
            n_stars -= len(part)
            self.row += len(part)
            if self.row == len(table):
                self.block += 1
                self.row = 0
            yield part

    def _add_light_curves(self, part: pa.Table) -> pa.Table:
        missions = self.config.light_curves
        if self.config.views:
            return with_views(part, missions[0], self.config.seed)
        return with_light_curves(part, missions, self.config.seed)


def survey(n_stars: int, config: SurveyConfig) -> Iterator[pa.Table]:
    """Yield the first `n_stars` of a survey in tables of at most a block.

    Parameters
    ----------
    n_stars : int
        How many stars to make. A longer survey begins with the stars of a shorter one.
    config : SurveyConfig
        Settings of the survey.

    Examples
    --------
    >>> table = pa.concat_tables(survey(100, SurveyConfig(seed=1)))
    """
    return SurveyCursor(config).take(n_stars)
