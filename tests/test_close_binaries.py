"""Contact and semi-detached binaries: the table of Roche surfaces."""

import dataclasses

import numpy as np
import pytest

from multistar.mock.variability.close_binaries import (
    close_binary_curve,
    contact_radii,
    is_close,
    lobe_radius,
)
from multistar.mock.variability.eclipses import PairGeometry, eclipse_curve
from multistar.mock.variability.light_curve import StarParameters, light_curve

PHASE = np.linspace(0, 1, 401)


def _pair(inclination: float, radius_1: float, mass_ratio: float) -> PairGeometry:
    return PairGeometry(1.0, 0.0, inclination, radius_1, 0.99 * float(lobe_radius(mass_ratio)))


def test_lobes_are_eggletons():
    # Eggleton (1983), table 1: q = 1, 0.1 and 10
    assert lobe_radius(np.array([1.0, 0.1, 10.0])) == pytest.approx(
        [0.379, 0.207, 0.578], abs=0.002
    )


def test_contact_stars_are_as_large_as_their_lobes():
    ratio = np.array([0.2, 0.5, 1.0])
    radii = contact_radii(ratio, np.full(3, 0.15))
    assert radii[:, 0] == pytest.approx(lobe_radius(1 / ratio), rel=0.05)
    assert radii[:, 1] == pytest.approx(lobe_radius(ratio), rel=0.06)
    assert np.all(contact_radii(ratio, np.full(3, 0.9)) > radii)


def test_a_contact_binary_varies_all_the_time_with_two_like_minima():
    pair = _pair(75.0, 0.45, 0.4)
    flux = close_binary_curve(PHASE, pair, 0.4, 1.0, fill_out=0.3)
    at = {phase: flux[round(400 * phase)] for phase in (0.0, 0.25, 0.5, 0.75)}
    assert at[0.25] == pytest.approx(at[0.75], abs=1e-6)
    assert at[0.0] == pytest.approx(at[0.5], abs=0.06)
    assert at[0.25] > 1.3 * at[0.0]
    # W UMa stars: no flat part between the eclipses
    assert np.abs(np.diff(flux[50:80])).min() > 0


@pytest.mark.parametrize("teff_ratio, deeper", [(0.92, 0.0), (1.06, 0.5)])
def test_the_eclipse_of_the_hotter_star_is_the_deeper_one(teff_ratio, deeper):
    flux = close_binary_curve(PHASE, _pair(83.0, 0.45, 0.4), 0.4, teff_ratio, fill_out=0.3)
    minimum = {phase: flux[round(400 * phase)] for phase in (0.0, 0.5)}
    assert min(minimum, key=minimum.__getitem__) == deeper


def test_inclination_lessens_the_amplitude_and_orbits_look_the_same_from_below():
    ranges = []
    for inclination in (20.0, 50.0, 70.0, 90.0):
        flux = close_binary_curve(PHASE, _pair(inclination, 0.45, 0.4), 0.4, 1.0, 0.3)
        ranges.append(np.ptp(flux))
    assert np.all(np.diff(ranges) > 0)
    above, below = (
        close_binary_curve(PHASE, _pair(angle, 0.45, 0.4), 0.4, 1.0, 0.3) for angle in (70.0, 110.0)
    )
    np.testing.assert_allclose(above, below, rtol=1e-12)


def test_eclipses_of_an_algol_are_those_of_spheres():
    """A small hot star before and behind a cool one that fills its lobe, seen from the plane."""
    pair = _pair(90.0, 0.3 * float(lobe_radius(4.0)), 0.25)
    flux = close_binary_curve(PHASE, pair, 0.25, 0.6)
    shoulder = flux[np.abs(PHASE - 0.12).argmin()]
    # black bodies of 9,000 and 5,400 K at 550 nm, and the cool star's larger disc
    brightness = np.expm1(14388 / 0.55 / 9000) / np.expm1(14388 / 0.55 / 5400)
    ratio = brightness * (pair.radius_2 / pair.radius_1) ** 2
    spheres = eclipse_curve(np.array([0.0]), pair, ratio)
    assert flux[0] / shoulder == pytest.approx(spheres[0], abs=0.08)
    assert flux[200] / shoulder > 0.8


def test_spheres_stay_where_no_star_fills_its_lobe():
    assert is_close(_pair(90.0, 0.2, 0.3), 0.3)
    assert not is_close(PairGeometry(1.0, 0.0, 90.0, 0.2, 0.2), 0.9)


def test_missions_see_a_contact_binary_at_its_period():
    star = StarParameters(
        5, 1.1, 1.1, 5900, 12.0, 11.6, orbital_period=0.37, inclination=80.0, radius_ratio=0.65,
        scaled_axis=2.1, flux_ratio=0.4, mass_ratio=0.4, companion_teff=5900.0, fill_out=0.3,
    )  # fmt: skip
    curve = light_curve(star, "kepler", 1)
    phase = curve.time / 0.37 % 1
    bins = [curve.flux[(phase * 20).astype(int) == i].mean() for i in range(20)]
    assert np.ptp(bins) > 0.4
    single = light_curve(dataclasses.replace(star, orbital_period=np.nan), "kepler", 1)
    assert np.ptp(single.flux) < 0.02
