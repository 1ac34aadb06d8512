"""The mock beside the sky: the Sun, passbands of one release, young, hot, cool, old, near stars."""

import numpy as np
import pyarrow as pa
import pytest

from multistar.checks.fitting.sky_anchors import SUN
from multistar.mock.dust import DustDisc
from multistar.mock.evolution import load_evolution
from multistar.mock.observe import observe
from multistar.mock.phases import TEFF_RANGE
from multistar.mock.population import (
    ROUGHNESS,
    SOLAR_AGE,
    absolute_magnitudes,
    draw_population,
    settle,
)
from multistar.mock.sed import BANDS, load_sed_table
from multistar.mock.selection import SELECTIONS
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes

SOLAR_RADII_IN_10_PC = 6.957e8 / 3.0857e17


def magnitudes_at_10_pc(teff, logg, mass=1.0) -> tuple[np.ndarray, float]:
    """Magnitudes of a star of solar composition, and its radius [Rsun]."""
    radius = np.sqrt(mass * 10 ** (4.438 - logg))
    table = load_sed_table()
    one = [np.array([float(x)]) for x in (teff, logg, 0, 0, 0)]
    flux = np.exp(table.ln_flux(*one)) * 1e-10 * (radius * SOLAR_RADII_IN_10_PC) ** 2
    return (table.zero_point - 2.5 * np.log10(flux @ table.passband.T))[0], radius


def test_the_sun_has_its_magnitudes():
    found, _ = magnitudes_at_10_pc(5772, 4.438)
    measured = dict(zip(BANDS, found, strict=True))
    for band, magnitude in SUN.items():
        assert measured[band] == pytest.approx(magnitude, abs=0.03), band


def test_the_air_of_the_earth_is_not_in_the_spectra():
    """Spectra of a library hold the bands of oxygen at 687 and 760 nm and of water at 940 nm."""
    table = load_sed_table()
    teff, logg, m_h = np.array(
        [[5772, 4.4, 0], [5772, 4.4, -0.5], [4800, 2.5, -0.2], [6500, 4, 0]]
    ).T
    flux = np.exp(table.ln_flux(teff, logg, m_h, np.zeros(4), np.zeros(4)))

    def mean(low, high):
        fine = np.linspace(low, high, 200)
        return np.log([np.interp(fine, table.wavelength, one).mean() for one in flux])

    for band, left, right in (
        ((757, 768), (738, 750), (776, 788)),
        ((686, 692), (676, 684), (694, 702)),
        ((925, 965), (880, 900), (990, 1010)),
    ):
        depth = mean(*band) - (mean(*left) + mean(*right)) / 2
        # giants have CN at 920-945 nm; the water was 8-13 % deep
        assert np.abs(depth).max() < 0.04, band


@pytest.fixture(scope="module")
def stars():
    selection = SELECTIONS["everything"]
    rng = np.random.default_rng(4)
    return draw_population(40_000, rng, DustDisc(), selection.strata, selection.faintest)


def test_magnitudes_are_those_of_the_xp_spectrum(stars):
    few = stars.select(slice(0, 300))
    observed = observe(few)
    parts = np.split(observed.coefficients, [55], axis=1)
    xp = {band: XPCoefficients(x, x) for band, x in zip(("bp", "rp"), parts, strict=True)}
    for band, magnitude in synthetic_magnitudes(xp).items():
        ours = observed.magnitudes[:, BANDS.index(band)]
        # the response of XP keeps magnitudes of mean stars; behind much dust, and of the coolest
        # stars, it changes them by up to 0.02
        seen = (ours < 19) & (few.star.teff > 3900)
        assert seen.sum() > 100
        apart = np.abs(ours - magnitude)[seen]
        assert np.percentile(apart, 85) < 4e-3, band
        assert apart.max() < 0.02, band


def test_rough_magnitudes_are_as_rough_as_they_say(stars):
    single = stars.select(~np.isfinite(stars.orbits.period))
    single.ebv[:] = 0
    observed = observe(single).magnitudes
    modulus = 5 * np.log10(single.distance * 100)
    rough = absolute_magnitudes(single.star.luminosity, single.star.teff)
    for band, values in rough.items():
        error = observed[:, BANDS.index(band)] - modulus - values
        assert np.abs(error).max() < ROUGHNESS[band], band


def test_young_stars_are_where_parsec_has_them():
    """log L and Teff of PARSEC v1 at 10 Myr, Z = 0.014, by initial mass."""
    known = {0.501: (-0.978, 3359), 1.25: (0.098, 5223), 2.4: (1.557, 10970), 7.0: (3.296, 21014)}
    track = load_evolution().isochrone(np.array([0.01]), np.array([-0.0226]))[0]
    for mass, (log_luminosity, teff) in known.items():
        place = np.log10(mass)
        assert np.interp(place, track[:, 0], track[:, 1]) == pytest.approx(log_luminosity, abs=0.07)
        assert 10 ** np.interp(place, track[:, 0], track[:, 2]) == pytest.approx(teff, rel=0.02)


def test_heavy_stars_of_young_isochrones_end():
    evolution = load_evolution()
    young, older = evolution.isochrone(np.array([0.003, 0.09]), np.zeros(2))
    alive = [10 ** track[track[:, 4] > -50, 0].max() for track in (young, older)]
    assert alive[0] > 15 and 5 < alive[1] < 6
    assert (evolution.phases(np.array([0.05]))[0] == 0).all()
    assert (evolution.phases(np.array([5.0]))[0] == evolution.phase).all()


def take(selection: str, n: int = 500) -> dict[str, np.ndarray]:
    table = pa.concat_tables(survey(n, SurveyConfig(seed=9, selection=selection)))
    names = ("true_teff", "true_age", "true_distance", "true_m_h", "true_logg", "phot_g_mean_mag")
    return {name.removeprefix("true_"): table[name].to_numpy() for name in names}


def test_selections_hold_what_they_promise():
    near, young, old = (take(name) for name in ("nearby", "young", "halo"))
    assert (near["distance"] < 0.012).mean() > 0.01 and near["phot_g_mean_mag"].min() < 5
    assert young["age"].max() < 1.01 and (young["age"] < 0.01).mean() > 0.2
    assert young["teff"].max() > 15_000 and young["teff"].min() < 4000
    assert old["age"].min() > 6.9 and (old["m_h"] < -1).mean() > 0.3
    for stars in (near, young, old):
        assert TEFF_RANGE[0] <= stars["teff"].min() and stars["teff"].max() <= TEFF_RANGE[1]


def test_the_sun_is_on_its_isochrone():
    """Born with Z = 0.01774; what has settled since leaves [M/H] = 0 at the surface."""
    track = load_evolution().isochrone(np.array([SOLAR_AGE]), np.array([0.087]))[0, :34]
    luminosity, teff = (np.interp(0.0, track[:, 0], track[:, i]) for i in (1, 2))
    assert luminosity == pytest.approx(0, abs=0.01) and 10**teff == pytest.approx(5772, abs=20)
    sun = (np.array([x]) for x in (1.0, SOLAR_AGE, 4.438))
    assert settle(*sun)[0] == pytest.approx(0.087, abs=0.001)
    giant, m_dwarf, f_dwarf = (
        settle(*(np.array([x]) for x in labels))
        for labels in ((1.0, 9.0, 2.5), (0.4, 9.0, 4.8), (1.5, 1.0, 4.1))
    )
    assert max(giant[0], m_dwarf[0], f_dwarf[0]) < 1e-3
