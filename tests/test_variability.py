"""Mock light curves against closed forms, published values and real light curves."""

import dataclasses

import numpy as np
import pytest
from astropy.timeseries import LombScargle

from multistar.mock.variability import eclipses, oscillations, pulsation, pulsators, rotation
from multistar.mock.variability.curves import variable_curve
from multistar.mock.variability.light_curve import StarParameters, light_curve
from multistar.mock.variability.missions import MISSIONS, gaia_transits, kepler_noise, tess_noise

CLUMP = StarParameters(
    1, mass=1.2, radius=10.9, teff=4800, g_mag=11, rp_mag=10.4, helium_burning=True
)
QUIET = StarParameters(2, mass=2.2, radius=2.0, teff=9000, g_mag=14, rp_mag=13.9)  # too hot to vary
GRID = np.fft.rfftfreq(5760, 0.0864 * 29.4244 / 1440)  # muHz, 118 d of Kepler
KEPLER_LIKE = sorted(name for name, mission in MISSIONS.items() if mission.visits is None)
FROM_THE_GROUND = ("asas", "ztf")
# Their periods are those of rotation, discs or g modes.
NOT_P_MODES = ("gamma_dor", "spb", "osarg", "alpha2_cvn", "flare_star", "be")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestRotation:
    def test_sun(self):
        assert rotation.b_minus_v(5772) == pytest.approx(0.65, abs=0.01)
        assert rotation.rotation_period(0.65, 4.57) == pytest.approx(26.1, abs=0.5)

    def test_hyades(self):
        assert rotation.rotation_period(0.65, 0.625) == pytest.approx(8.5, abs=0.3)

    def test_colour_inverts_ballesteros(self):
        b_v = np.linspace(0.2, 1.5, 9)
        teff = 4600 * (1 / (0.92 * b_v + 1.7) + 1 / (0.92 * b_v + 0.62))
        assert rotation.b_minus_v(teff) == pytest.approx(b_v)

    def test_blue_stars_have_no_gyrochronology(self):
        assert np.isnan(rotation.rotation_period([0.3, 0.495], 1.0)).all()

    def test_activity_saturates_for_young_and_synchronised_stars(self):
        young, tidal, sun = rotation.spot_amplitude(np.array([3.0, 0.6, 26.1]), 1.0)
        assert young == tidal == 0.01
        assert 5e-4 < sun < 2e-3  # McQuillan et al. (2014): the active Sun has 1-2 mmag

    @pytest.mark.parametrize("period", [0.7, 4.0, 11.0])
    def test_amplitude_is_the_range_seen_equator_on(self, period):
        time = np.arange(0, 90, 0.02)
        curves = [rotation.spot_modulation(time, period, 0.02, rng(i)) for i in range(40)]
        ranges = [np.ptp(np.percentile(curve, [5, 95])) for curve in curves]
        assert np.median(ranges) == pytest.approx(0.02, rel=0.15)
        assert max(curve.max() for curve in curves) <= 0

    def test_pole_on_spots_hardly_vary(self):
        time = np.arange(0, 90, 0.02)
        fast = [
            np.std(np.diff(rotation.spot_modulation(time, 1.0, 0.02, rng(4), i)))
            for i in (90, 30, 1)
        ]
        assert fast[0] > fast[1] > 20 * fast[2]

    def test_period_is_recovered(self):
        star = StarParameters(7, 1, 1, 5772, 12, 11.5, rotation_period=9.0, spot_amplitude=0.01)
        frequency = np.linspace(1 / 40, 1 / 2, 4000)
        found = []
        for seed in range(10):
            curve = light_curve(star, "kepler", seed)
            power = LombScargle(curve.time, curve.flux).power(frequency)
            found.append(1 / frequency[np.argmax(power)])
        near = (np.array(found) > 8.0) & (
            np.array(found) < 10.5
        )  # spots are born at random longitudes, off the equator
        assert near.sum() >= 8


class TestOscillations:
    def test_scaling_relations(self):
        assert oscillations.numax(1.0, 1.0, 5777.0) == 3090
        assert oscillations.delta_nu(1.0, 1.0) == 135.1
        assert oscillations.delta_nu(1.0, 4.0) == pytest.approx(135.1 / 8)
        # KIC 757137, Yu et al. (2018): 29.99 and 3.399 muHz for 1.70 Msun, 13.91 Rsun, 4751 K
        assert oscillations.numax(1.70, 13.91, 4751) == pytest.approx(29.99, rel=0.02)
        assert oscillations.delta_nu(1.70, 13.91) == pytest.approx(3.399, rel=0.02)

    def test_granulation_has_the_variance_of_its_two_components(self):
        frequency = np.linspace(0, 3000, 300_001)
        density = oscillations.granulation_density(frequency, 1.2, 10.9, 4800)
        peak = oscillations.numax(1.2, 10.9, 4800)
        assert np.trapezoid(density, frequency) == pytest.approx(
            2 * (3710 * peak**-0.613 * 1.2**-0.26) ** 2, rel=1e-3
        )

    def test_no_power_of_a_mode_is_lost(self):
        state = (1.2, 10.9, 4800.0)
        total = oscillations.power_spectrum(GRID, *state).sum()
        granulation = (oscillations.granulation_density(GRID, *state) * GRID[1])[1:].sum()
        assert total - granulation == pytest.approx(
            oscillations.oscillation_modes(*state)[1].sum(), rel=1e-6
        )

    def test_envelope_is_that_of_mosser(self):
        _, power, _ = oscillations.oscillation_modes(1.2, 10.9, 4800)
        peak = oscillations.numax(1.2, 10.9, 4800)
        gauss = 2.03e7 * peak**-2.38 * 0.66 * peak**0.88 * np.sqrt(np.pi / np.log(2)) / 2
        assert power.sum() == pytest.approx(gauss, rel=0.05)

    def test_mixed_modes_fulfil_their_condition(self):
        spacing, period_spacing, coupling = 8.0, 75e-6, 0.15
        pressure = (np.arange(5, 12) + 0.6) * spacing
        frequency, share = oscillations._mixed_modes(pressure, spacing, period_spacing, coupling)
        left = np.tan(np.pi * (frequency / spacing - 0.6))
        right = coupling * np.tan(np.pi / (period_spacing * frequency))
        # the difference as an angle, since both sides have poles
        angle = (
            np.arctan(left / coupling) - np.arctan(right / coupling) + np.pi / 2
        ) % np.pi - np.pi / 2
        assert np.abs(angle).max() < 0.05
        order = np.floor(frequency / spacing - 0.1)
        shares = np.bincount(order.astype(int), share)[6:11]
        assert shares == pytest.approx(1, abs=0.1)

    def test_radial_modes_are_one_separation_apart(self):
        frequency, _, _ = oscillations.oscillation_modes(1.0, 1.0, 5772)
        orders = np.arange(frequency.size // 3)
        assert np.diff(frequency[orders]) == pytest.approx(135.1, rel=0.03)
        middle = np.argmin(np.abs(frequency[orders] - 3033.8))
        assert frequency[middle : middle + 2] == pytest.approx(
            [3033.8, 3168.6], abs=2
        )  # the Sun (BiSON)

    def test_hot_stars_are_quiet(self):
        assert oscillations.power_spectrum(GRID, 2.0, 2.0, 9000.0).sum() == pytest.approx(
            0, abs=1e-9
        )

    def test_integration_damps(self):
        state = (1.0, 4.0, 4900.0)
        ratio = (
            oscillations.power_spectrum(GRID, *state, exposure=0.02)[1:]
            / oscillations.power_spectrum(GRID, *state)[1:]
        )
        x = np.pi * GRID[1:] * 1e-6 * 0.02 * 86400
        assert ratio == pytest.approx((np.sin(x) / x) ** 2)

    def test_periodogram_of_the_series_is_the_spectrum(self):
        power = oscillations.power_spectrum(GRID, 1.2, 10.9, 4800)
        n, seeds = 2 * (len(GRID) - 1), 300
        periodogram = np.mean(
            [
                2 * np.abs(np.fft.rfft(oscillations.synthesise(power, n, rng(i)))) ** 2 / n**2
                for i in range(seeds)
            ],
            axis=0,
        )
        ratio = periodogram[1:-1] / power[1:-1]
        assert ratio.mean() == pytest.approx(1, abs=4 / np.sqrt(seeds * len(ratio)))
        assert ratio.std() == pytest.approx(1 / np.sqrt(seeds), rel=0.1)  # each bin is exponential
        assert np.abs(ratio - 1).max() < 6 / np.sqrt(seeds)

    def test_variance_of_a_long_part_is_the_integral(self):
        power = oscillations.power_spectrum(GRID, 1.2, 10.9, 4800)
        variance = np.mean([oscillations.synthesise(power, 4400, rng(i)).var() for i in range(100)])
        assert variance == pytest.approx(power.sum(), rel=0.05)

    def test_asking_for_too_many_samples(self):
        with pytest.raises(ValueError, match="at most 20 samples, 21"):
            oscillations.synthesise(np.ones(11), 21, rng())

    def test_scatter_of_real_giants(self):
        # KIC 11618103 (1.49 Msun, 6.79 Rsun, 5049 K: Yu et al. 2018) has 311 ppm in 600 d of
        # detrended Kepler data
        giant = dataclasses.replace(
            CLUMP, mass=1.49, radius=6.79, teff=5049, g_mag=7.7, helium_burning=False
        )
        scatter = [light_curve(giant, "kepler", seed).flux.std() for seed in range(20)]
        assert np.median(scatter) == pytest.approx(311e-6, rel=0.25)

    def test_scatter_of_a_clump_giant(self):
        # the relations of Kallinger et al. (2014) and Mosser et al. (2012) integrated over all
        # frequencies
        scatter = [light_curve(CLUMP, "kepler", seed).flux.std() for seed in range(20)]
        peak = oscillations.numax(1.2, 10.9, 4800)
        granulation = 2 * (3710 * peak**-0.613 * 1.2**-0.26) ** 2
        oscillation = 2.03e7 * peak**-2.38 * 0.66 * peak**0.88 * 1.064
        assert np.median(scatter) == pytest.approx(
            1e-6 * np.sqrt(granulation + oscillation), rel=0.1
        )


class TestEclipses:
    @staticmethod
    def pair(inclination: float, radius_1: float, radius_2: float) -> eclipses.PairGeometry:
        return eclipses.PairGeometry(5.0, 1.3, inclination, radius_1, radius_2)

    def test_overlap_area(self):
        assert eclipses.overlap_area(0.0, 1.0, 0.3) == pytest.approx(np.pi * 0.09)
        assert eclipses.overlap_area(2.0, 1.0, 1.0) == pytest.approx(0, abs=1e-12)
        assert eclipses.overlap_area(1.0, 1.0, 1.0) == pytest.approx(2 * np.pi / 3 - np.sqrt(3) / 2)

    def test_depth_of_a_dark_companion(self):
        time = np.array([1.3, 3.8])
        flux = eclipses.eclipse_curve(time, self.pair(90, 0.1, 0.02), flux_ratio=0.0)
        assert flux == pytest.approx([1 - 0.2**2, 1])

    def test_depth_of_the_secondary_eclipse(self):
        time = np.array([1.3, 3.8])
        flux = eclipses.eclipse_curve(time, self.pair(90, 0.1, 0.05), flux_ratio=0.2)
        assert flux == pytest.approx([(0.75 + 0.2) / 1.2, 1 / 1.2])

    def test_duration(self):
        time = np.linspace(0, 5, 200_001)
        flux = eclipses.eclipse_curve(time, self.pair(87, 0.15, 0.05), flux_ratio=0.0)
        impact = np.cos(np.radians(87))
        chord = np.sqrt(0.2**2 - impact**2) / np.sin(np.radians(87))
        analytic = 5 / np.pi * np.arcsin(chord)
        assert np.sum(flux < 1) * 5 / 200_000 == pytest.approx(analytic, rel=1e-3)
        assert time[flux < 1].mean() == pytest.approx(1.3, abs=1e-3)

    def test_face_on_orbits_do_not_eclipse(self):
        time = np.linspace(0, 5, 1000)
        flux = eclipses.eclipse_curve(time, self.pair(0, 0.3, 0.3), flux_ratio=1)
        assert np.all(flux == 1)

    def test_limb_darkening_against_pixels(self):
        x, y = np.meshgrid(*2 * [np.linspace(-1, 1, 601)])
        intensity = 0.4 + 0.6 * np.sqrt(np.maximum(1 - x**2 - y**2, 0))
        intensity[x**2 + y**2 > 1] = 0
        for distance in (0.0, 0.6, 1.2):
            behind = (x - distance) ** 2 + y**2 < 0.25
            hidden = intensity[behind].sum() / intensity.sum()
            visible = eclipses.visible_fraction(np.array([distance]), 1.0, 0.5, 0.6)
            assert visible[0] == pytest.approx(1 - hidden, abs=3e-3)

    def test_swapping_the_stars_swaps_the_eclipses(self):
        time = np.linspace(0, 5, 500)
        one = eclipses.PairGeometry(5.0, 1.3, 88, 0.2, 0.1)
        two = eclipses.PairGeometry(5.0, 1.3 + 2.5, 88, 0.1, 0.2)
        swapped = eclipses.eclipse_curve(time, two, 1 / 0.3, 0.5)
        assert eclipses.eclipse_curve(time, one, 0.3, 0.5) == pytest.approx(swapped)

    def test_distortion_has_two_maxima_and_heating_one(self):
        phase = np.linspace(0, 1, 512, endpoint=False)
        pair = eclipses.PairGeometry(1.0, 0.0, 90, 0.3, 0.1)
        curve = eclipses.proximity_curve(phase, pair, mass_ratio=0.5, flux_ratio=0.0)
        first, second = (np.fft.rfft(curve)[1:3] / 256).real
        # Morris & Naftilan (1993) with u = 0.6 and g = 0.32: 1.287 q r^3; heating of the dark star,
        # seen at phase 1/2
        assert second == pytest.approx(-0.15 * 15.6 * 1.32 / 2.4 * 0.5 * 0.3**3)
        assert first == pytest.approx(-0.5 / 3 * 0.1**2)
        assert curve.mean() == pytest.approx(0, abs=1e-12)

    def test_overlapping_stars_are_an_error(self):
        with pytest.raises(ValueError, match="add up to < 1"):
            self.pair(90, 0.6, 0.5)


class TestPulsators:
    @pytest.mark.parametrize("name", pulsation.VARIABILITY_CLASSES)
    def test_states_are_consistent(self, name):
        stars = pulsators.draw_pulsators(name, 500, rng(1))
        assert stars.radius**2 * (stars.teff / 5772) ** 4 == pytest.approx(stars.luminosity)
        # pulsation constants Q = P sqrt(mean density) of the radial modes of all classes are within
        # a factor of a few
        if name not in NOT_P_MODES:
            constant = stars.period * np.sqrt(stars.mass / stars.radius**3)
            assert np.all((constant > 0.015) & (constant < 0.2))
        assert all(
            len(values) == 500 and np.isfinite(values).all() for values in vars(stars).values()
        )

    def test_classes_are_the_same_everywhere(self):
        assert tuple(pulsators.CLASSES) == pulsation.VARIABILITY_CLASSES

    def test_rr_lyrae(self):
        rrab, rrc = (pulsators.draw_pulsators(name, 2000, rng(2)) for name in ("rrab", "rrc"))
        assert np.median(rrab.period) == pytest.approx(0.58, abs=0.03)
        assert np.median(rrc.period) == pytest.approx(0.34, abs=0.03)
        assert np.corrcoef(rrab.period, rrab.amplitude)[0, 1] < -0.3  # Bailey
        poor, rich = (
            pulsators.draw_pulsators("rrab", 500, rng(3), m_h=value) for value in (-2.0, -1.0)
        )
        assert np.log10(np.mean(poor.luminosity) / np.mean(rich.luminosity)) == pytest.approx(
            0.086, abs=0.01
        )

    def test_cepheid_period_luminosity_relation(self):
        stars = pulsators.draw_pulsators("cepheid", 3000, rng(4))
        slope, zero = np.polyfit(
            np.log10(stars.period) - 1, -2.5 * np.log10(stars.luminosity) + 4.74, 1
        )
        assert slope == pytest.approx(-3.1, abs=0.4)
        assert zero == pytest.approx(
            -4.2, abs=0.4
        )  # M_V of a 10-day Cepheid, whose bolometric correction is 0.1
        assert np.all(stars.age < 0.3)

    def test_long_period_variables_are_old_and_large(self):
        stars = pulsators.draw_pulsators("lpv", 1000, rng(5))
        mira = stars.period > 200
        assert np.median(stars.amplitude[mira]) > 1 > np.median(stars.amplitude[~mira])
        assert np.median(stars.radius[mira]) > 150

    def test_unknown_class(self):
        with pytest.raises(ValueError, match="unknown variability class 'quasar'"):
            pulsators.draw_pulsators("quasar", 3, rng())


class TestPulsation:
    PHASE = np.arange(512) / 512

    @pytest.mark.parametrize(
        ("name", "period", "amplitude"),
        [("rrab", 0.55, 0.9), ("rrc", 0.32, 0.4), ("cepheid", 5.0, 0.6), ("lpv", 200, 2.0)],
    )
    def test_template_has_its_fourier_parameters(self, name, period, amplitude):
        magnitudes = pulsation.template(2 * np.pi * self.PHASE, name, period, amplitude)
        coefficient = np.fft.rfft(magnitudes)[1:4]
        ratios, phases = pulsation.fourier_shape(name, period, amplitude)
        assert np.abs(coefficient[1] / coefficient[0]) == pytest.approx(ratios[1])
        assert (np.angle(coefficient[1]) - 2 * np.angle(coefficient[0]) - phases[1]) % (
            2 * np.pi
        ) == pytest.approx(0, abs=1e-9)
        assert np.ptp(magnitudes) == pytest.approx(amplitude, rel=1e-3)
        assert magnitudes.mean() == pytest.approx(0, abs=1e-12)

    def test_rrab_is_a_sawtooth_and_rrc_is_not(self):
        rise = {}
        for name, period in (("rrab", 0.55), ("rrc", 0.32)):
            magnitudes = pulsation.template(2 * np.pi * self.PHASE, name, period, 0.6)
            rise[name] = (
                (np.argmin(magnitudes) - np.argmax(magnitudes)) % 512 / 512
            )  # from faint to bright
        assert rise["rrab"] < 0.25
        assert 0.35 < rise["rrc"] < 0.55

    def test_hertzsprung_progression(self):
        short, resonance, long = (
            pulsation.fourier_shape("cepheid", period, 0.6) for period in (4.0, 10.0, 30.0)
        )
        assert resonance[0][1] < 0.15 < 0.3 < min(short[0][1], long[0][1])
        assert short[1][1] < resonance[1][1] > long[1][1]

    def test_gaia_finds_the_period_of_an_rr_lyrae(self):
        star = dataclasses.replace(
            QUIET,
            g_mag=16,
            variability_class="rrab",
            pulsation_period=0.5637,
            pulsation_amplitude=0.9,
        )
        frequency = np.arange(1.1, 3.5, 2e-4)
        found = []
        for seed in range(3):
            curve = light_curve(star, "gaia", seed)
            power = LombScargle(curve.time, -2.5 * np.log10(curve.flux), nterms=3).power(
                frequency, method="fastchi2"
            )
            found.append(1 / frequency[np.argmax(power)])
        assert np.median(found) == pytest.approx(0.5637, abs=1e-4)

    def test_kepler_finds_the_strongest_mode_of_a_delta_scuti(self):
        star = dataclasses.replace(
            QUIET,
            g_mag=12,
            variability_class="delta_scuti",
            pulsation_period=0.11,
            pulsation_amplitude=0.01,
        )
        curve = light_curve(star, "kepler", 3)
        frequency = np.arange(2, 24, 2e-3)
        power = LombScargle(curve.time, curve.flux).power(frequency)
        assert frequency[np.argmax(power)] == pytest.approx(1 / 0.11, abs=0.01)

    def test_colder_bands_pulsate_less(self):
        star = dataclasses.replace(
            QUIET, g_mag=9, variability_class="rrab", pulsation_period=0.55, pulsation_amplitude=0.8
        )
        ranges = {
            m: np.ptp(-2.5 * np.log10(light_curve(star, m, 1).flux)) for m in ("kepler", "tess")
        }
        assert ranges["tess"] / ranges["kepler"] == pytest.approx(0.7, rel=0.05)


class TestCurves:
    TIME = np.linspace(0, 400, 40001)

    @pytest.mark.parametrize("name", pulsation.VARIABILITY_CLASSES)
    def test_every_class_varies_by_about_its_amplitude(self, name):
        periods = {"be": 150.0, "mira": 300.0, "lpv": 80.0, "osarg": 30.0, "cepheid_ii": 8.0}
        period = periods.get(name, 0.6)
        ranges = []
        for seed in range(12):
            curve = variable_curve(self.TIME, name, period, 0.2, rng(seed))
            assert curve.shape == self.TIME.shape
            assert np.isfinite(curve).all()
            low, high = np.quantile(curve, (0.02, 0.98))
            ranges.append(high - low)
        assert 0.1 < np.median(ranges) < 0.6

    def test_phases_belong_to_absolute_time(self):
        for name in ("rrab", "rrd", "gamma_dor", "osarg", "mira", "alpha2_cvn"):
            whole = variable_curve(self.TIME, name, 0.6, 0.2, rng(3))
            part = variable_curve(self.TIME[500:900], name, 0.6, 0.2, rng(3))
            np.testing.assert_allclose(part, whole[500:900], atol=1e-12)

    def test_an_rrd_star_has_both_modes(self):
        curve = variable_curve(self.TIME, "rrd", 0.36, 0.4, rng(1))
        frequency = np.arange(1.0, 3.5, 5e-4)
        power = LombScargle(self.TIME, curve).power(frequency)
        assert frequency[np.argmax(power)] == pytest.approx(1 / 0.36, abs=0.003)
        fundamental = np.abs(frequency - 0.745 / 0.36) < 0.01
        elsewhere = np.abs(frequency - 1.5) < 0.2
        assert power[fundamental].max() > 20 * power[elsewhere].max()

    def test_minima_of_rv_tauri_stars_alternate(self):
        short, long = (
            variable_curve(self.TIME, "cepheid_ii", period, 0.8, rng(2)) for period in (10.0, 40.0)
        )
        frequency = np.array([0.5, 1.0])
        of_short = LombScargle(self.TIME, short).power(frequency / 10)
        of_long = LombScargle(self.TIME, long).power(frequency / 40)
        assert of_short[0] / of_short[1] < 0.01 < 0.02 < of_long[0] / of_long[1]

    def test_flares_brighten_and_last_minutes(self):
        time = np.arange(0, 60, 1 / 1440)
        curves = [variable_curve(time, "flare_star", 2.0, 0.002, rng(seed)) for seed in range(8)]
        bright = [np.mean(curve < -0.01) for curve in curves]
        assert max(bright) > 0
        assert max(bright) < 0.1
        assert min(curve.min() for curve in curves) < -0.02

    def test_a_be_star_brightens_at_once_and_fades_slowly(self):
        steps = np.concatenate(
            [np.diff(variable_curve(self.TIME, "be", 150, 0.3, rng(i))[::300]) for i in range(10)]
        )
        assert np.median(np.sort(steps)[:20]) < -1.5 * np.median(np.sort(steps)[-20:])


class TestMissions:
    @pytest.mark.parametrize(
        ("name", "cadence", "span", "count"),
        [
            ("kepler", 29.4244, 90, 4275),
            ("kepler-long", 29.4244, 1460, 68600),
            ("k2", 29.4244, 80, 3876),
            ("tess", 10, 27.4, 3735),
        ],
    )
    def test_regular_sampling(self, name, cadence, span, count):
        curve = light_curve(QUIET, name, 0)
        assert np.median(np.diff(curve.time)) * 1440 == pytest.approx(cadence, abs=1e-3)
        assert np.ptp(curve.time) == pytest.approx(span, abs=0.2)
        assert len(curve.time) == pytest.approx(count, rel=0.01)
        gaps = np.diff(curve.time)
        assert (gaps.max() > 0.8) == (name != "k2")

    def test_gaia_sampling(self):
        times = [gaia_transits(MISSIONS["gaia"], rng(i)) for i in range(200)]
        counts = [len(time) for time in times]
        assert np.median(counts) == pytest.approx(52, abs=6)  # of real DR3 variables
        assert np.percentile(counts, 5) > 30
        assert np.percentile(counts, 95) < 85
        gaps = np.concatenate([np.diff(time) for time in times]) * 1440
        assert np.mean(np.abs(gaps - 106.5) < 0.1) == pytest.approx(0.33, abs=0.06)  # real: 0.33
        assert np.median([np.ptp(time) for time in times]) == pytest.approx(960, abs=60)
        assert np.all(gaps > 0)

    @pytest.mark.parametrize("name", FROM_THE_GROUND)
    def test_nights_on_the_ground(self, name):
        mission = MISSIONS[name]
        times = [mission.visits(mission, rng(i)) for i in range(60)]
        counts = [len(time) for time in times]
        assert 250 < np.median(counts) < 800
        for time in times:
            assert np.all(np.diff(time) >= 0)
            assert time.min() >= mission.start and time.max() <= mission.start + mission.span
        # gaps of the seasons in which a star is not up
        assert np.median([np.diff(time).max() for time in times]) > 60
        # at night: around the same time of the sidereal day within a season
        power = [np.abs(np.mean(np.exp(2j * np.pi * time / 0.99727))) for time in times]
        assert np.median(power) > 0.3

    def test_outliers_from_the_ground(self):
        curves = [light_curve(QUIET, "asas", seed) for seed in range(40)]
        deviation = np.concatenate([(c.flux - 1) / c.flux_error for c in curves])
        far = np.mean(np.abs(deviation) > 6)
        assert 0.002 < far < 0.008  # a hundredth of the points has errors eight times as large

    def test_noise_is_that_of_real_light_curves(self):
        # pipeline errors of KIC 9579641 (Kp 12.791) and EPIC 211495446 (14.03) per cadence
        assert kepler_noise(np.array([12.791, 14.03]), 0) == pytest.approx([87e-6, 152e-6], rel=0.1)
        assert tess_noise(0, 10.0) / np.sqrt(6) == pytest.approx(
            200e-6, rel=0.2
        )  # Ricker et al. (2015), in one hour

    @pytest.mark.parametrize("name", ["kepler", "tess"])
    def test_white_noise(self, name):
        curve = light_curve(QUIET, name, 5)
        adjacent = np.diff(curve.time) < 1.5 * MISSIONS[name].cadence
        assert np.diff(curve.flux)[adjacent].std() / np.sqrt(2) == pytest.approx(
            curve.flux_error.mean(), rel=0.04
        )

    def test_gaia_noise(self):
        curves = [light_curve(QUIET, "gaia", seed) for seed in range(60)]
        # quoted errors leave out 3 mmag
        deviation = np.concatenate(
            [(c.flux - 1) / np.hypot(c.flux_error, 0.003 / 1.086) for c in curves]
        )
        assert deviation.std() == pytest.approx(1, abs=0.06)

    def test_k2_rolls(self):
        star = dataclasses.replace(QUIET, g_mag=9)
        frequency = np.linspace(2, 10, 3000)
        peaks = []
        for seed in range(5):
            curve = light_curve(star, "k2", seed)
            peaks.append(frequency[np.argmax(LombScargle(curve.time, curve.flux).power(frequency))])
        assert np.median(peaks) == pytest.approx(24 / 5.88, abs=0.02)


class TestLightCurve:
    BINARY = dataclasses.replace(
        QUIET,
        orbital_period=3.3,
        inclination=88.0,
        radius_ratio=0.8,
        scaled_axis=9.0,
        flux_ratio=0.3,
        mass_ratio=0.7,
    )

    @pytest.mark.parametrize("mission", MISSIONS)
    def test_shape(self, mission):
        curve = light_curve(
            dataclasses.replace(self.BINARY, rotation_period=4.0, spot_amplitude=0.01), mission, 1
        )
        assert len(curve.time) == len(curve.flux) == len(curve.flux_error)
        assert {curve.time.dtype, curve.flux.dtype, curve.flux_error.dtype} == {np.dtype(float)}
        assert np.median(curve.flux) == pytest.approx(1)
        assert np.all(np.diff(curve.time) > 0)
        assert np.isfinite(curve.flux).all()
        assert np.all(curve.flux_error > 0)

    def test_same_seed_same_curve_in_any_order(self):
        stars = [dataclasses.replace(CLUMP, source_id=i) for i in (3, 2**62 + 5, 11)]
        forward = {star.source_id: light_curve(star, "tess", 1).flux for star in stars}
        backward = {star.source_id: light_curve(star, "tess", 1).flux for star in reversed(stars)}
        assert all(np.array_equal(forward[i], backward[i]) for i in forward)
        other = light_curve(stars[0], "tess", 2).flux
        assert not np.array_equal(forward[3][:100], other[:100])
        assert not np.array_equal(forward[3][:100], forward[11][:100])

    def test_eclipses_come_at_the_same_phase_for_all_missions(self):
        star = dataclasses.replace(self.BINARY, g_mag=10, rp_mag=10)
        centres = []
        for mission in KEPLER_LIKE:
            curve = light_curve(star, mission, 4)
            phase = (curve.time + MISSIONS[mission].epoch) / star.orbital_period % 1
            deep = curve.flux < curve.flux.min() + 0.02
            centres.append(np.angle(np.mean(np.exp(2j * np.pi * phase[deep]))) / (2 * np.pi) % 1)
        assert np.ptp(centres) < 2e-3

    def test_depths_of_both_eclipses(self):
        flux = light_curve(dataclasses.replace(self.BINARY, inclination=90.0), "kepler", 4).flux
        hidden = (
            0.4 * 0.8**2 + 0.4 * (1 - (1 - 0.8**2) ** 1.5)
        ) / 0.8  # of star 1, limb-darkened with u = 0.6
        assert 1 - flux.min() == pytest.approx(hidden / 1.3, rel=0.02)
        assert np.mean((flux > 0.75) & (flux < 0.78)) > 0.005  # star 2 is hidden: 1 - 0.3 / 1.3

    def test_gaia_sees_the_granulation_of_luminous_giants(self):
        giant = dataclasses.replace(
            CLUMP, radius=80.0, teff=4000, helium_burning=False
        )  # log g = 0.7
        curves = [light_curve(giant, "gaia", seed) for seed in range(30)]
        noise = (0.003 / 1.086) ** 2
        variance = np.mean([c.flux.var() - np.mean(c.flux_error**2) - noise for c in curves])
        peak = oscillations.numax(1.2, 80.0, 4000)
        assert np.sqrt(variance) == pytest.approx(
            np.sqrt(2) * 3710e-6 * peak**-0.613 * 1.2**-0.26, rel=0.1
        )

    def test_a_companion_dilutes(self):
        alone = light_curve(CLUMP, "kepler", 1).flux
        pair = light_curve(dataclasses.replace(CLUMP, flux_ratio=1.0), "kepler", 1).flux
        assert pair.std() / alone.std() == pytest.approx(0.5, rel=0.03)

    def test_impossible_stars_are_errors(self):
        with pytest.raises(ValueError, match="unknown mission 'plato'"):
            light_curve(CLUMP, "plato", 0)
        with pytest.raises(ValueError, match="variability_class must be"):
            dataclasses.replace(CLUMP, variability_class="quasar")
        with pytest.raises(ValueError, match="pulsation_period > 0, got nan"):
            dataclasses.replace(CLUMP, variability_class="lpv")
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            dataclasses.replace(CLUMP, source_id=-1)
        with pytest.raises(ValueError, match="a binary needs"):
            dataclasses.replace(CLUMP, orbital_period=3.0)

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("mission", ["kepler", "tess"])
    def test_lightkurve_round_trip(self, mission, tmp_path):
        lightkurve = pytest.importorskip("lightkurve")
        curve = light_curve(CLUMP, mission, 1)
        curve.to_lightkurve().to_fits(tmp_path / "curve.fits", flux_column_name="PDCSAP_FLUX")
        read = lightkurve.read(tmp_path / "curve.fits")
        assert read.flux.value == pytest.approx(curve.flux, rel=1e-6)  # lightkurve writes 32 bits
        assert read.flux_err.value == pytest.approx(curve.flux_error, rel=1e-6)
        assert read.time.value == pytest.approx(curve.time, abs=1e-9)
        assert read.time.format == MISSIONS[mission].time_format

    @pytest.mark.filterwarnings("ignore")
    def test_gaia_times_are_tcb(self):
        pytest.importorskip("lightkurve")
        curve = light_curve(CLUMP, "gaia", 1)
        time = curve.to_lightkurve().time
        assert (time.scale, time.format) == ("tcb", "jd")
        assert time.jd - 2455197.5 == pytest.approx(curve.time, abs=1e-6)
