"""What makes the data that ship with the mock: isochrones, spectra, XP noise, against known cases."""

import json

import numpy as np
import pytest

from multistar.checks.fitting import evolution, passbands, sed_grid, xp_noise
from multistar.mock import evolution as shipped
from multistar.mock.noise import CALIBRATION_SCATTER, photon_sigma
from multistar.stars import read_stars


def make_isochrone(log_age: float = 9.5) -> np.ndarray:
    """A straight main sequence, and later phases of constant steps."""
    rows = []
    for mass in np.linspace(0.1, 1.3, 80):
        rows.append([log_age, mass, mass, 4 * np.log10(mass), 3.76, 4.4, 0, 0])
    later = (
        (1, 1.31, 4 * np.log10(1.31), 0.8),
        (2, 1.32, 0.8, 3.0),
        (3, 1.33, 1.7, 1.7),
        (4, 1.34, 2.0, 3.0),
    )
    for phase, start, first, last in later:
        for share in np.linspace(0, 1, 20):
            light = first + share * (last - first)
            mass = start + 0.009 * share
            rows.append([log_age, mass, 0.9 * mass, light, 3.7 - 0.03 * light, 3.0, 0, phase])
    return np.array(rows)


def make_young_isochrone(log_age: float) -> np.ndarray:
    """Stars that contract along straight lines; the heavier they are, the earlier they end."""
    heaviest = 20 * 10 ** (-0.3 * (log_age - 6))
    rows = []
    for mass in np.geomspace(0.1, heaviest, 80):
        light = 4 * np.log10(mass) - 0.2 * (log_age - 6)
        rows.append([log_age, mass, mass, light, 3.7 + 0.1 * np.log10(mass), 4.4, 0, 0])
    rows.append([log_age, heaviest * 1.01, heaviest, 3.0, 3.8, 3.0, 0, 1])
    return np.array(rows)


class TestEvolution:
    def test_points_of_the_main_sequence_lie_on_it(self):
        points = evolution.select_main_sequence(make_isochrone())
        assert points.shape == (36, 5)
        assert points[0, 0] == pytest.approx(np.log10(evolution.LOWEST_MASS))
        np.testing.assert_allclose(points[:, 1], 4 * points[:, 0], atol=5e-3)
        assert (np.diff(points[:, 0]) > 0).all()
        assert np.diff(points[:, 0])[0] > np.diff(points[:, 0])[-1]  # denser at the turn-off

    def test_points_after_it_are_equal_steps(self):
        points = evolution.select_evolved(make_isochrone())
        assert points.shape == (72, 5)
        giants = points[12:46]
        np.testing.assert_allclose(giants[:, 1], np.linspace(0.8, 3.0, 34), atol=1e-9)
        np.testing.assert_allclose(points[:, 3], np.log10(0.9))

    def test_a_phase_that_is_missing_makes_the_track_unknown(self):
        isochrone = make_isochrone()
        without = isochrone[isochrone[:, evolution.PHASE] != evolution.CLUMP]
        assert np.isnan(evolution.select_evolved(without)).all()

    def test_tracks_that_do_not_change_are_fitted_exactly(self, tmp_path):
        rows = np.concatenate([make_isochrone(age) for age in evolution.AGES])
        m_h = np.linspace(-1, 0.5, 8)
        isochrones = {f"z{i}": rows for i in range(len(m_h))} | {"MH": m_h}
        values, found = evolution.tabulate_tracks(isochrones)
        assert values.shape == (8, len(evolution.AGES), 108, 5)
        values[2, 5] = np.nan  # is left out
        fit = evolution.fit_evolution(values, found)
        assert max(residual["teff_rms"] for residual in fit.residuals.values()) < 1e-3
        young_rows = np.concatenate([make_young_isochrone(age) for age in evolution.YOUNG_AGES])
        young = {f"z{i}": young_rows for i in range(len(m_h))} | {"MH": m_h}
        tracks, found = evolution.tabulate_tracks(young, young=True)
        youth = evolution.fit_young_evolution(tracks, found)
        assert youth.residuals["main_sequence"]["teff_rms"] < 3
        heaviest = evolution.tabulate_lifetimes(tracks)
        assert (np.diff(heaviest, axis=1) <= 0).all() and heaviest.min() < heaviest.max()
        parts = (fit, youth, heaviest, found, tmp_path / "evolution.npz")
        evolution.write_evolution(*parts, overwrite=False)
        with np.load(tmp_path / "evolution.npz") as written:
            ours = {name: written[name].ndim for name in written.files}
        with np.load(shipped.__file__.replace("evolution.py", "evolution.npz")) as there:
            assert ours == {name: there[name].ndim for name in there.files}
        with pytest.raises(FileExistsError):
            evolution.write_evolution(*parts, overwrite=False)


class TestPassbands:
    TEXT = "# WAVELENGTH_UNIT {unit}\n# DETECTOR type {detector}\n# x\n{rows}\n"

    def test_units_and_detectors_are_heeded(self):
        rows = "4000,0.5\n5000,1.0,9\n.5,0"
        text = self.TEXT.format(unit="is AA", detector="photon", rows=rows)
        wavelength, transmission = passbands.parse_curve(text)
        np.testing.assert_allclose(wavelength, [400, 500, 0.05])
        np.testing.assert_allclose(transmission, [0.5, 1, 0])
        text = self.TEXT.format(unit="is um", detector="energy", rows="0.4,0.8\n0.5,0.5")
        wavelength, transmission = passbands.parse_curve(text)
        np.testing.assert_allclose(wavelength, [400, 500])
        np.testing.assert_allclose(transmission, [0.002, 0.001])  # per photon

    def test_magnitudes_are_relative_to_the_zero_point(self):
        band = passbands.Passband(np.array([1.0, 3.0]), 20.0)
        np.testing.assert_allclose(band.magnitude(np.array([[1.0, 3.0], [10, 30]])), [17.5, 15])


class TestSpectra:
    def test_failed_nodes_get_their_nearest_neighbour(self):
        grid = np.arange(24.0).reshape(2, 3, 2, 1, 2)
        want = grid.copy()
        grid[0, 0, 0] = np.nan
        filled = sed_grid.fill_failed_nodes(grid)
        assert np.isfinite(filled).all()
        assert filled[0, 0, 0].tolist() in [
            x.tolist() for x in (want[1, 0, 0], want[0, 1, 0], want[0, 0, 1])
        ]
        filled[0, 0, 0] = want[0, 0, 0]
        np.testing.assert_array_equal(filled, want)

    def test_components_are_exact_where_there_are_enough(self):
        rng = np.random.default_rng(0)
        values = rng.normal(size=(4, 5, 3)) @ rng.normal(size=(3, 30)) + 7
        mean, vectors, scores = sed_grid.find_components(values, 3)
        assert (mean.shape, vectors.shape, scores.shape) == ((30,), (3, 30), (4, 5, 3))
        assert vectors.dtype == np.float16
        back = scores @ vectors.astype(float) + mean
        assert np.abs(back - values).max() < 0.01 * values.std()

    def test_the_slope_reddens_by_one_magnitude(self):
        slope = sed_grid.make_colour_slope(np.array([505.0, 790.0, 1000.0, 1200.0]))
        assert slope[0] - slope[1] == pytest.approx(1)
        assert slope[2] == slope[3] == 0

    def test_the_sun_gets_its_colour(self):
        """Models whose BP-RP is 0: the correction is the colour itself."""
        flux = np.zeros((len(sed_grid.LTE_TEFF), len(sed_grid.LOGG), len(sed_grid.M_H), 2))
        bands = {name: passbands.Passband(np.ones(2), 0.0) for name in ("bp", "rp")}
        wanted = sed_grid.measure_colour_correction(flux, bands)
        dwarfs = wanted[:, sed_grid.LOGG == 4.5, sed_grid.M_H == 0].ravel()
        at_sun = np.interp(sed_grid.SOLAR_TEFF, sed_grid.LTE_TEFF, dwarfs)
        assert at_sun == pytest.approx(sed_grid.SOLAR_COLOUR, abs=0.01)
        assert (np.diff(dwarfs[6:16]) < 0).all()  # hotter is bluer
        assert (wanted[:6] == wanted[6]).all() and (wanted[16:] == wanted[15]).all()


def test_noise_of_photons_has_no_shape_and_a_noisy_order_shows(mock_table, tmp_path):
    stars = xp_noise.read_all_orders(mock_table)
    bright = read_stars(mock_table).scalars["g"].value
    assert ((bright > 13) & (bright < 17)).sum() > 50
    g = stars.scalars["g"].value
    scatter = np.interp(g, *CALIBRATION_SCATTER)
    for band, xp in stars.xp.items():
        xp.sigma[:] = 3 * photon_sigma(band, xp.value, scatter, np.full(len(g), xp_noise.TRANSITS))
        xp.sigma[:, 40] *= 2
    shape = xp_noise.measure_noise_shape(stars)
    for orders in shape.values():
        np.testing.assert_allclose(np.delete(orders, 40), 1)
        assert orders[40] == 2
    xp_noise.write_noise_shape(shape, tmp_path / "noise.json", overwrite=False)
    assert json.loads((tmp_path / "noise.json").read_text()) == shape
