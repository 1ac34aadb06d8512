"""Features of light curves: analytic power, known periods, no dependence on order or units."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.timeseries import LombScargle

from multistar import status
from multistar.io.chunks import read_chunks
from multistar.io.columns import Columns
from multistar.io.tables import read_columns
from multistar.mock.variability.light_curve import StarParameters, light_curve
from multistar.mock.variability.missions import kepler_noise
from multistar.mock.variability.oscillations import granulation_density, numax
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.features import (
    EDGES,
    LAYOUT,
    N_SLOTS,
    SUMMARY,
    assign_pools,
    compute_feature_table,
    compute_features,
    read_features,
)
from multistar.modalities.light_curve.periodogram import (
    compute_periodogram,
    lomb_scargle,
    measure_sampling,
)
from multistar.modalities.light_curve.points import from_points
from multistar.stars import read_stars

CENTRES = np.sqrt(EDGES[1:] * EDGES[:-1])
CADENCE = 29.4244 / 1440  # d
PER_MUHZ = 0.0864  # cycles/d


def curves_of(*stars, band="kepler") -> LightCurves:
    """Stars given as (time, flux, sigma); flux has a median near 1."""
    number = np.repeat(np.arange(len(stars)), [len(star[0]) for star in stars])
    time, flux, sigma = (np.concatenate(x) for x in zip(*stars, strict=True))
    return from_points(
        number, time, flux, sigma, band, unit="relative" if np.median(flux) < 0.5 else "flux"
    )


def raw(time, flux, sigma=None, band=None, bands=("kepler",)) -> LightCurves:
    """One star as it is, without the checks of a reader."""
    n = len(time)
    sigma = np.full(n, np.nan) if sigma is None else sigma
    band = np.zeros(n, np.int8) if band is None else band
    first, flags = np.array([0, n]), np.zeros(1, np.uint16)
    return LightCurves(
        np.array([1]),
        first,
        np.asarray(time, float),
        np.asarray(flux, float),
        sigma,
        band,
        bands,
        flags,
    )


def part(values: np.ndarray, name: str) -> np.ndarray:
    return values[..., LAYOUT.parts[name]]


def summary(values: np.ndarray) -> dict[str, float]:
    return dict(zip(SUMMARY, part(values, "summary"), strict=True))


def noisy_sine(period: float, n: int = 60, seed: int = 0):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 900, n))
    flux = 1 + 0.05 * np.sin(2 * np.pi * time / period) + 0.005 * rng.standard_normal(n)
    return time, flux, np.full(n, 0.005)


@pytest.mark.parametrize("points, tolerance", [(60, 5e-3), (1500, 1e-9)], ids=["single", "double"])
def test_periodogram_is_that_of_astropy(points, tolerance):
    rng = np.random.default_rng(1)
    time, error = np.sort(rng.uniform(0, 300, points)), rng.uniform(0.5, 2, points)
    flux = np.sin(2 * np.pi * time / 7.3) + error * rng.standard_normal(points)
    first, step, n = 0.0025, 0.002, 3000
    weight = error**-2 / np.sum(error**-2)
    expected = LombScargle(time, flux, error, fit_mean=True).power(
        first + step * np.arange(n), method="cython"
    )
    np.testing.assert_allclose(
        lomb_scargle(time, flux, weight, first, step, n), expected, atol=tolerance
    )


@pytest.mark.parametrize("cadence, n", [(CADENCE, 1200), (CADENCE, 4300), (10 / 1440, 3900)])
def test_white_noise_has_the_analytic_density(cadence, n):
    rng, rms = np.random.default_rng(2), 3e-4
    error = np.full(n, rms)
    seen = compute_features(
        curves_of(
            *((cadence * np.arange(n), 1 + rms * rng.standard_normal(n), error) for _ in range(6))
        )
    )
    expected = np.log(2 * rms**2 * cadence)
    assert summary(seen.value[0])["ln_noise"] == pytest.approx(expected, abs=1e-3)
    pull = (part(seen.value, "spectrum") - expected) / part(seen.sigma, "spectrum")
    pull = pull[np.isfinite(pull)]
    assert abs(pull.mean()) < 4 / np.sqrt(len(pull))
    assert pull.std() == pytest.approx(1, abs=0.12)


def test_errors_of_all_sizes_still_give_the_noise_that_is_there():
    rng, n = np.random.default_rng(3), 3000
    error = 1e-3 * np.exp(0.7 * rng.standard_normal(n))
    seen = compute_features(
        curves_of((CADENCE * np.arange(n), 1 + error * rng.standard_normal(n), error))
    )
    high = part(seen.value, "spectrum")[0, CENTRES > 3]
    assert np.nanmean(high) == pytest.approx(summary(seen.value[0])["ln_noise"], abs=0.06)


@pytest.mark.parametrize("days, lost", [(40, 0.0), (90, 0.0), (90, 0.5)])
def test_power_adds_up_to_the_variance(days, lost):
    """Parseval, with the gap too; and a sinusoid holds half its squared amplitude."""
    time = np.arange(0, days, CADENCE)
    time = time[(time < days / 3) | (time >= days / 3 + lost * days)]
    for flux in (
        np.random.default_rng(4).standard_normal(len(time)),
        np.sqrt(2) * np.sin(2 * np.pi * 3.217 * time),
    ):
        times = measure_sampling(time)
        assert times is not None
        power = compute_periodogram(time, flux, np.full(len(time), 1 / len(time)), times)
        assert power is not None
        integral = power.density * power.share.mean() * (times.top - 0.5 / times.span)
        assert integral == pytest.approx(np.var(flux), rel=0.02)


def test_spectrum_is_seen_only_where_span_and_sampling_allow():
    time = CADENCE * np.arange(4300)
    seen = part(
        compute_features(
            curves_of((time, 1 + 1e-3 * np.random.default_rng(5).standard_normal(4300), 0 * time))
        ).value,
        "spectrum",
    )
    observed, span = np.isfinite(seen[0]), time[-1] + CADENCE
    first = np.ceil(EDGES * span)
    np.testing.assert_array_equal(
        observed, (np.diff(first) > 0) & (first[1:] > 1) & (EDGES[1:] <= 0.5 / CADENCE)
    )
    irregular = part(compute_features(curves_of(noisy_sine(3.1))).value, "spectrum")[0]
    assert np.isfinite(irregular[(CENTRES > 0.02) & (EDGES[1:] <= 20)]).all()
    assert np.isnan(irregular[EDGES[1:] > 20]).all()


@pytest.mark.parametrize("period", [0.0831, 0.543, 3.7, 41.0, 310.0])
def test_a_sine_of_known_period_is_found(period):
    seen = summary(compute_features(curves_of(noisy_sine(period))).value[0])
    assert np.exp(seen["ln_period"]) == pytest.approx(period, rel=0.02 * period / 900)
    assert seen["sine"] > 0.97


def test_profile_is_folded_at_twice_the_period():
    seen = compute_features(curves_of(noisy_sine(3.7, n=2000)))
    phase = np.arange(48) / 48
    shown = part(seen.value, "profile")[0]
    np.testing.assert_allclose(shown / np.abs(shown).max(), -np.cos(4 * np.pi * phase), atol=0.2)
    error = part(seen.sigma, "profile")[0] * np.exp(summary(seen.value[0])["ln_scatter"])
    np.testing.assert_allclose(error, 0.005 / np.sqrt(2000 / 48), rtol=0.5)


def test_eclipsing_binary_shows_both_minima_at_its_period():
    star = StarParameters(
        3,
        1.0,
        1.0,
        5772,
        12,
        11.5,
        orbital_period=3.3,
        inclination=88,
        radius_ratio=0.8,
        scaled_axis=9,
        flux_ratio=0.3,
        mass_ratio=0.8,
    )
    curve = light_curve(star, "kepler", 0)
    seen = compute_features(curves_of((curve.time, curve.flux, curve.flux_error)))
    assert 2 * np.exp(summary(seen.value[0])["ln_period"]) == pytest.approx(3.3, rel=1e-3)
    profile = part(seen.value, "profile")[0]
    assert np.argmin(profile) == 0
    assert 22 <= 8 + np.argmin(profile[8:40]) <= 26
    assert profile[0] < 1.3 * profile[8:40].min() < -50
    assert np.abs(profile[8:16]).max() < 2


def test_red_giants_have_their_hump_at_numax_and_the_background_of_the_mock():
    for radius in (5, 8, 12):
        star = StarParameters(1, 1.2, radius, 4800, 11, 10.4)
        curves = [light_curve(star, "kepler", seed) for seed in range(5)]
        seen = part(
            compute_features(curves_of(*((c.time, c.flux, c.flux_error) for c in curves))).value,
            "spectrum",
        ).mean(0)
        muhz = CENTRES / PER_MUHZ
        expected = (
            1e-12
            / PER_MUHZ
            * granulation_density(muhz, 1.2, radius, 4800)
            * np.sinc(CENTRES * CADENCE) ** 2
        )
        excess = seen - np.log(expected + 2 * kepler_noise(11, 10.4) ** 2 * CADENCE)
        truth = numax(1.2, radius, 4800)
        between = (muhz > truth / 4) & (
            muhz < 4 * truth
        )  # further up the ends of the data leak granulation
        peak = muhz[between][np.nanargmax(np.convolve(excess, np.ones(5) / 5, "same")[between])]
        assert peak == pytest.approx(truth, rel=0.15)
        quiet = (muhz > truth / 5) & (muhz < truth / 2)
        assert np.mean(excess[quiet]) == pytest.approx(0, abs=0.25)


def test_moments_of_noise_and_of_errors_that_are_too_small():
    rng, n = np.random.default_rng(6), 20000
    flux = 1 + 1e-3 * rng.standard_normal(n)
    seen = summary(
        compute_features(curves_of((CADENCE * np.arange(n), flux, np.full(n, 0.5e-3)))).value[0]
    )
    expected = {
        "ln_scatter": np.log(1e-3),
        "ln_error": np.log(0.5e-3),
        "ln_excess": np.log(2),
        "skewness": 0,
        "ln_kurtosis": np.log(3),
        "asinh_amplitude": np.arcsinh(2 * 1.645),
        "ln_von_neumann": 0,
        "ln_points": np.log(n),
        "ln_span": np.log(n * CADENCE),
        "ln_spacing": np.log(CADENCE),
        "regularity": 1,
        "root_low": np.sqrt(0.00135),
        "root_high": np.sqrt(0.00135),
        "folded": 0,
        "sine": 0,
    }
    for name, value in expected.items():
        assert seen[name] == pytest.approx(value, abs=0.06), name


def some_curve(n: int = 300):
    rng = np.random.default_rng(7)
    time = np.sort(rng.uniform(0, 700, n))
    flux = 0.1 * np.sin(2 * np.pi * time / 5.3) + 0.02 * rng.standard_normal(n)
    return time, flux, rng.uniform(0.01, 0.03, n), rng.integers(0, 2, n).astype(np.int8)


def assert_same(one, other, tolerance=0.0):
    for name in ("value", "sigma"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance
        )


def test_order_units_and_the_zero_point_of_time_change_nothing():
    time, flux, sigma, band = some_curve()
    expected = compute_features(raw(time, flux, sigma, band, ("g", "rp")))
    assert np.isfinite(expected.value).sum() > 400
    mixed = np.random.default_rng(8).permutation(len(time))
    assert_same(
        compute_features(raw(time[mixed], flux[mixed], sigma[mixed], band[mixed], ("g", "rp"))),
        expected,
    )
    factor = np.array([3.0, 0.2])[band]
    assert_same(
        compute_features(raw(time, factor * (1 + flux) - 1, factor * sigma, band, ("g", "rp"))),
        expected,
        2e-4,
    )
    assert_same(
        compute_features(raw(time + 2457000, flux, sigma, band, ("g", "rp"))), expected, 2e-4
    )


def test_points_that_are_not_there_change_nothing_bitwise():
    time, flux, sigma, band = some_curve()
    expected = compute_features(raw(time, flux, sigma, band, ("g", "rp")))
    where = [0, 10, 10, 200, 300]
    more = [
        np.insert(x, where, junk)
        for x, junk in zip((time, flux, sigma, band), (1e9, np.nan, 1e9, 1), strict=True)
    ]
    assert_same(compute_features(raw(*more, ("g", "rp", "bp"))), expected)
    more[0][0], more[1][0] = np.nan, 1e9
    assert_same(compute_features(raw(*more, ("g", "rp", "bp"))), expected)


def test_each_band_has_its_own_median_and_patches():
    time, flux, sigma, band = some_curve(120)
    shifted = compute_features(
        raw(time, (1 + flux) * (1 + 0.5 * band) - 1, sigma * (1 + 0.5 * band), band, ("g", "rp"))
    )
    assert np.exp(summary(shifted.value[0])["ln_period"]) == pytest.approx(5.3, rel=2e-3)
    code = part(shifted.value, "sample_band")[0]
    np.testing.assert_allclose(code[[0, 6]], np.log(np.array([622, 777]) / 600), rtol=1e-5)
    rows = part(shifted.value, "samples")[0].reshape(2, -1)
    for number in (0, 1):
        own = flux[band == number]
        own = (1 + own) / np.median(1 + own) - 1
        shown = rows[number, : len(own)]
        np.testing.assert_allclose(shown / np.std(shown), own / np.std(own), rtol=1e-4, atol=1e-4)
        assert np.isnan(rows[number, len(own) :]).all()


def test_a_sparse_curve_is_shown_point_for_point_with_its_days():
    time, flux, sigma = noisy_sine(3.7, n=100)
    seen = compute_features(curves_of((time, flux, sigma)))
    values, stamps = (
        part(seen.value, name)[0].reshape(12, 16) for name in ("samples", "sample_times")
    )
    unit = np.exp(summary(seen.value[0])["ln_scatter"])
    np.testing.assert_allclose(
        values.ravel()[:100] * unit, flux / np.median(flux) - 1, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        part(seen.sigma, "samples")[0][:100] * unit, sigma / np.median(flux), rtol=1e-4
    )
    assert np.isnan(values.ravel()[100:]).all()
    assert np.isnan(stamps.ravel()[100:]).all()
    np.testing.assert_allclose(
        stamps[:7, 0], (time[:100:16] - time[0]) / (time[-1] - time[0]), atol=1e-6
    )
    days = time[:96].reshape(6, 16)
    np.testing.assert_allclose(
        np.exp(stamps[:6, 1:]).cumsum(1), days[:, 1:] - days[:, :1], rtol=1e-4
    )


def test_a_long_curve_is_shown_in_windows_at_its_cadence_and_in_means():
    time = CADENCE * np.arange(4300)
    time = time[(time < 30) | (time > 40)]
    flux, error = 1 + 0.1 * time / time[-1], np.full(len(time), 1e-3)
    seen = compute_features(curves_of((time, flux, error)))
    values, stamps = (
        part(seen.value, name)[0].reshape(12, 16) for name in ("samples", "sample_times")
    )
    np.testing.assert_allclose(np.exp(stamps[:6, 1:]), CADENCE, rtol=1e-3)
    np.testing.assert_allclose(stamps[:6, 0], np.linspace(0, 1, 6), atol=0.08)
    unit = np.exp(summary(seen.value[0])["ln_scatter"])
    means = values[6:].ravel()
    where = (np.arange(96) + 0.5) / 96 * time[-1]
    empty = (where > 31) & (where < 39)
    assert np.isnan(means[empty]).all()
    inside = (where < 29.5) | (where > 40.5)
    expected = (1 + 0.1 * where / time[-1]) / np.median(flux) - 1
    np.testing.assert_allclose(means[inside] * unit, expected[inside], atol=3e-4)
    errors = part(seen.sigma, "samples")[0].reshape(12, 16)[6:].ravel()[inside] * unit
    assert np.all((errors > 0.9e-3 / np.sqrt(46)) & (errors < 2e-3 / np.sqrt(40)))


def test_a_star_is_seen_alone_as_among_others():
    empty, long = (
        (np.zeros(0),) * 3,
        (CADENCE * np.arange(1200), *np.random.default_rng(0).normal(1, 1e-3, (2, 1200))),
    )
    stars = [noisy_sine(3.7), empty, long, noisy_sine(41.0, 70, seed=1)]
    number = np.repeat(np.arange(4), [len(star[0]) for star in stars])
    bounds = np.searchsorted(number, np.arange(5))
    columns = (np.concatenate(x) for x in zip(*stars, strict=True))
    curves = from_points(np.arange(4), *columns, "tess", unit="flux", first=bounds)
    together = compute_features(curves)
    assert np.isnan(together.value[1]).all()
    for i in range(4):
        alone = compute_features(curves.of(i))
        np.testing.assert_array_equal(alone.value[0], together.value[i])
        np.testing.assert_array_equal(alone.sigma[0], together.sigma[i])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8])
def test_few_points(n):
    time, flux, sigma = (
        np.array([0, 1.1, 2.7, 2.9, 4.4, 7, 7.5, 9])[:n],
        np.array([0, 0.1, -0.2, 0, 0.1, 0, 0.1, 0])[:n],
        np.full(n, 0.1),
    )
    seen = compute_features(raw(time, flux, sigma)).value[0]
    if n == 0:
        assert np.isnan(seen).all()
        return
    assert summary(seen)["ln_points"] == pytest.approx(np.log(n))
    assert (
        np.isfinite(part(seen, "samples")).sum()
        == np.isfinite(part(seen, "sample_times")).sum()
        == n
    )
    assert np.isfinite(part(seen, "spectrum")).any() == (n >= 5)


@pytest.mark.parametrize("sigma", [np.nan, 1e-4])
def test_a_constant_curve_has_no_spectrum_but_samples(sigma):
    seen = compute_features(
        raw(CADENCE * np.arange(500), np.zeros(500), np.full(500, sigma))
    ).value[0]
    assert np.isnan(part(seen, "spectrum")).all()
    assert np.isnan(part(seen, "profile")).all()
    assert np.isnan(summary(seen)["ln_scatter"])
    assert np.all(part(seen, "samples") == 0)


def test_unknown_errors_stay_unknown_and_the_rest_is_there():
    time, flux, _ = noisy_sine(3.7)
    seen = compute_features(curves_of((time, flux, np.full(60, np.nan))))
    found = summary(seen.value[0])
    assert np.isnan([found[name] for name in ("ln_error", "ln_excess", "ln_noise")]).all()
    assert np.exp(found["ln_period"]) == pytest.approx(3.7, rel=1e-3)
    assert np.isnan(part(seen.sigma, "samples")).all()
    assert (
        np.isfinite(part(seen.sigma, "spectrum")).sum()
        == np.isfinite(part(seen.value, "spectrum")).sum()
        > 50
    )


def test_gaps_of_years_and_huge_amplitudes():
    rng = np.random.default_rng(9)
    time = np.concatenate(
        [np.arange(0, 27, 10 / 1440), np.arange(1500, 1527, 10 / 1440)]
    )  # a pair of sectors
    flux = 10 ** (1.5 * np.sin(2 * np.pi * time / 1.234)) * (
        1 + 1e-3 * rng.standard_normal(len(time))
    )
    flux[17] = 1e30
    seen = compute_features(curves_of((time, flux, 1e-3 * flux)))
    assert np.isfinite(seen.value).sum() > 400
    assert not np.isinf(seen.value).any() and not np.isinf(seen.sigma).any()
    flux[17] = np.nan
    found = np.exp(
        -summary(compute_features(curves_of((time, flux, 1e-3 * flux))).value[0])["ln_period"]
    )
    assert found == pytest.approx(
        1 / 1.234, abs=1.1 / 1500
    )  # or an alias next to it, which the gap makes as good


def test_layout_and_pools():
    assert (
        N_SLOTS
        == sum(where.stop - where.start for where in LAYOUT.parts.values())
        == 18 + 160 + 48 + 192 + 192 + 12
    )
    pool = assign_pools()
    assert len(np.unique(pool)) == 18 + 160 + 1 + 1 + 2 + 1
    assert len(np.unique(pool[LAYOUT.parts["sample_times"]][::16])) == 1


def feature_columns(kind: pa.DataType) -> dict[str, pa.Array]:
    """Features of four stars, of which only the last has a light curve."""
    some = np.arange(N_SLOTS, dtype=np.float32)
    rows = [None, None, None, some.tolist()]
    return {name: pa.array(rows, kind) for name in ("light_curve_value", "light_curve_sigma")}


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), N_SLOTS), pa.list_(pa.float32())])
def test_a_part_in_which_no_star_has_a_light_curve_is_read(kind, tmp_path):
    """A slice, or the first part of a long file; rows without a light curve are not observed."""
    table = pa.table({"source_id": [1, 2, 3, 4], "parallax": [1.0] * 4} | feature_columns(kind))
    pq.write_table(table, tmp_path / "stars.parquet")
    parts = read_chunks(tmp_path / "stars.parquet", 3)
    for part in (table[:3], table[:3].to_pandas(), next(parts)):
        stars = read_stars(part)
        assert stars.light_curve is not None
        assert stars.light_curve.value.shape == (3, N_SLOTS)
        assert np.isnan(stars.light_curve.value).all()
        assert (stars.flags & status.BIT["no_light_curve"]).all()
    for whole in (table, table.to_pandas()):
        seen = read_stars(whole).light_curve
        assert seen is not None
        np.testing.assert_array_equal(seen.value[3], np.arange(N_SLOTS))
        assert np.isnan(seen.value[:3]).all()
    last = read_stars(next(parts)).light_curve
    assert last is not None and np.isfinite(last.sigma).all()


def test_no_rows_have_no_features():
    features = read_features(read_columns(pa.table(feature_columns(pa.list_(pa.float32())))[:0]))
    assert features is not None and features.value.shape == (0, N_SLOTS)


def test_a_table_of_features_is_read_as_it_was_computed():
    curves = curves_of(noisy_sine(3.7), noisy_sine(41.0, 70, seed=1))
    features = read_features(read_columns(compute_feature_table(curves)))
    assert features is not None
    assert_same(features, compute_features(curves))
    assert read_features(read_columns({"source_id": [1]})) is None


@pytest.mark.parametrize(
    "column, message",
    [
        ([[1.0] * 7, [1.0] * 8], r"vectors of one length, found \[7, 8\]"),
        ([[1.0] * 7, "bright"], "row 1 holds 'bright'"),
        ([[1.0] * 7, 3.0], "row 1 holds 3.0"),
        ([1.0, 2.0], "row 0 holds"),
        (np.zeros((2, 2, 2)), r"its shape is \(2, 2, 2\)"),
        ([[1.0] * 7] * 2, rf"shape \(2, 7\).*expected \(n, {N_SLOTS}\)"),
    ],
)
def test_columns_that_hold_no_features_are_refused(column, message):
    values = column
    if isinstance(column, list):
        values = np.empty(2, object)
        values[:] = column
    table = Columns({"light_curve_value": values, "light_curve_sigma": values})
    with pytest.raises(ValueError, match=message):
        read_features(table)


def test_features_without_their_errors_are_refused():
    with pytest.raises(ValueError, match="but no light_curve_sigma"):
        read_features(Columns({"light_curve_value": np.zeros((2, N_SLOTS))}))


@pytest.mark.realdata
def test_catalogued_periods_of_gaia_cepheids(real_data):
    import pandas as pd

    labels = pd.read_csv(real_data / "lightcurves/gaia_dr3_variability_labels.csv")
    labels = labels[(labels.best_class_name == "CEP") & labels.period.notna()].iloc[:60]
    points = pd.read_parquet(real_data / "lightcurves/gaia_dr3_epoch_photometry.parquet")
    points = points[points.source_id.isin(labels.source_id)]
    columns = (points[name].to_numpy() for name in ("source_id", "time", "mag", "mag_err"))
    curves = from_points(*columns, "G", unit="mag")
    period = labels.set_index("source_id").period[curves.source_id].to_numpy()
    found = np.exp([summary(x)["ln_period"] for x in compute_features(curves).value])
    assert np.mean(np.abs(found / period - 1) < 3e-3) > 0.95


@pytest.mark.realdata
def test_numax_of_a_kepler_giant(real_data):
    """KIC 11618103: 106.9 muHz (Yu et al. 2018)."""
    time, flux = np.loadtxt(real_data / "lightcurves/kepler_tess/11618103_LC.txt", unpack=True)[:2]
    spectrum = part(
        compute_features(curves_of((time, flux, np.full(len(time), np.nan)))).value[0], "spectrum"
    )
    hump = spectrum[8:-8] - (spectrum[:-16] + spectrum[16:]) / 2
    assert CENTRES[8:-8][
        np.nanargmax(np.where(CENTRES[8:-8] > 1, hump, np.nan))
    ] / PER_MUHZ == pytest.approx(106.9, rel=0.1)
