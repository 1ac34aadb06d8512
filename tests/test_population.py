"""The mock Galaxy, its binaries and its shards on disk, against closed forms."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import assert_same_table

from multistar.cli.app import main
from multistar.io.tables import read_columns
from multistar.mock import galaxy
from multistar.mock.binaries import (
    SOLAR_RADII_PER_AU,
    Orbits,
    draw_orbits,
    is_eclipsing,
    is_synchronised,
    no_orbits,
    semi_major_axis,
)
from multistar.mock.dust import DustDisc
from multistar.mock.evolution import load_evolution
from multistar.mock.light_curves import light_curve_of
from multistar.mock.observe import observe
from multistar.mock.phases import (
    Evolved,
    Stratum,
    at_initial_mass,
    draw_evolved,
    is_red_giant,
    state,
)
from multistar.mock.population import draw_population
from multistar.mock.sed import BANDS
from multistar.mock.selection import SELECTIONS
from multistar.mock.shards import write_survey
from multistar.mock.survey import SurveyConfig, survey
from multistar.mock.variability.close_binaries import lobe_radius


def test_both_ways_to_draw_places_have_the_same_density():
    """The share of the sector's stars in a cylinder equals the cylinder's mean density ratio."""
    n, reach = 400_000, 3.0
    for index in range(3):
        component, age = np.full(n, index), np.full(n, 5.0)
        anywhere = galaxy.draw_places(component, age, np.random.default_rng(1), None)
        inside = (anywhere.distance * np.cos(anywhere.b) < reach).mean()
        near = galaxy.draw_places(component, age, np.random.default_rng(2), reach)
        ratio = galaxy.density_ratio(component, near.radius, reach).mean()
        assert ratio == pytest.approx(inside, rel=0.03), galaxy.COMPONENTS[index]
    with pytest.raises(ValueError, match="leaves the sector"):
        galaxy.density_ratio(component, near.radius, 8.0)


def test_strata_keep_the_proportions_of_the_hertzsprung_russell_diagram():
    """Giants over dwarfs in one volume, drawn together and drawn apart with different reaches."""
    together = (Stratum(reach=0.5),)
    apart = (Stratum(giants=True, reach=0.6), Stratum(giants=False, reach=0.5))
    counts = []
    for strata in (together, apart):
        stars = draw_population(150_000, np.random.default_rng(3), DustDisc(), strata, {})
        near = stars.distance < 0.5
        giants = near & is_red_giant(stars.star.logg, np.log10(stars.star.teff))
        counts.append((giants.sum(), near.sum() - giants.sum()))
    (giants_1, dwarfs_1), (giants_2, dwarfs_2) = counts
    assert min(giants_1, giants_2) > 80
    error = np.sqrt(1 / giants_1 + 1 / giants_2)
    assert abs(np.log(giants_1 / dwarfs_1) - np.log(giants_2 / dwarfs_2)) < 4 * error


def test_a_star_of_given_mass_is_found_on_its_isochrone():
    tracks = load_evolution().isochrone(np.array([4.0, 8.0]), np.array([0.0, -0.5]))
    points = state(tracks[:, 10])
    found = at_initial_mass(tracks, points.initial_mass)
    np.testing.assert_allclose(found.teff, points.teff, rtol=1e-6)
    np.testing.assert_allclose(found.luminosity, points.luminosity, rtol=1e-6)
    impossible = at_initial_mass(tracks, np.array([0.05, 5.0]))  # too light; long dead
    assert np.isnan(impossible.mass).all()


def test_turn_off_stars_are_where_isochrones_have_them():
    """The hottest star before the giant branch: what PARSEC v1 has at 5.01 and 12.59 Gyr."""
    rng = np.random.default_rng(0)
    for age, m_h, hottest, mass in ((5.01, -0.02, 6194, 1.146), (12.59, -1.49, 6384, 0.767)):
        tracks = load_evolution().isochrone(np.full(4000, age), np.full(4000, m_h))
        dwarfs, _ = draw_evolved(tracks, Stratum(giants=False), rng)
        top = np.argmax(dwarfs.teff)
        assert dwarfs.teff[top] == pytest.approx(hottest, abs=40)
        assert dwarfs.mass[top] == pytest.approx(mass, abs=0.06)


def _orbits(n: int, scaled_axis: float, inclination, companion: Evolved) -> Orbits:
    return Orbits(
        np.full(n, 5.0),
        np.full(n, scaled_axis),
        np.broadcast_to(inclination, n),
        np.full(n, 0.8),
        np.ones(n),
        np.full(n, np.nan),
        companion,
    )


def _suns(n: int) -> Evolved:
    return Evolved(
        np.ones(n), np.ones(n), np.ones(n), np.full(n, 5772.0), np.full(n, 4.438), np.zeros(n, int)
    )


def test_kepler_and_eclipse_geometry():
    assert semi_major_axis(np.array(365.25), np.array(1.0)) == pytest.approx(1)
    n, scaled = 200_000, 8.0
    isotropic = np.degrees(np.arccos(np.random.default_rng(0).random(n)))
    eclipsing = is_eclipsing(_orbits(n, scaled, isotropic, _suns(n)))
    assert eclipsing.mean() == pytest.approx(2 / scaled, rel=0.02)  # (R1 + R2) / a
    assert not is_eclipsing(_orbits(n, np.nan, isotropic, _suns(n))).any()


def test_only_close_and_old_pairs_are_synchronised():
    one = _suns(1)
    near, far = _orbits(1, 10.0, 60.0, one), _orbits(1, 60.0, 60.0, one)
    dwarf, giant = np.array([4.4]), np.array([2.5])
    assert is_synchronised(near, np.array([1.0]), dwarf).all()
    assert not is_synchronised(far, np.array([10.0]), dwarf).any()
    boundary = (0.8**2 * 1e9) ** (1 / 6)  # a / R where the time scale is 1 Gyr
    assert is_synchronised(_orbits(1, boundary * 0.99, 60.0, one), np.array([1.0]), dwarf).all()
    assert not is_synchronised(_orbits(1, boundary * 1.01, 60.0, one), np.array([1.0]), dwarf).any()
    assert not is_synchronised(_orbits(1, boundary * 0.99, 60.0, one), np.array([1.0]), giant).any()


def test_companions_have_the_multiplicity_and_share_the_primarys_age():
    tracks = load_evolution().isochrone(np.full(20_000, 5.0), np.zeros(20_000))
    star, _ = draw_evolved(tracks, Stratum(giants=False), np.random.default_rng(1))
    near = np.full(20_000, 1e-4)  # so near that all are resolved
    orbits = draw_orbits(star, tracks, near, np.random.default_rng(2))
    assert np.isfinite(orbits.period).mean() < 0.25
    orbits = draw_orbits(star, tracks, np.full(20_000, 50.0), np.random.default_rng(2))
    pair = np.isfinite(orbits.period)
    assert pair.mean() == pytest.approx(0.44, abs=0.04)
    assert np.nanmax(orbits.mass_ratio) < 1.02
    # Subgiants dim for a while as they evolve.
    bright = np.isfinite(orbits.companion.teff) & (orbits.mass_ratio < 0.95)
    assert np.all(orbits.companion.luminosity[bright] < star.luminosity[bright] * 1.01)
    assert np.array_equal(np.isfinite(orbits.inclination), pair)


def test_equal_stars_are_twice_as_bright_as_one():
    config = SELECTIONS["volume"]
    stars = draw_population(3000, np.random.default_rng(5), DustDisc(), config.strata, {})
    stars = stars.select(stars.star.logg > 4)
    n = len(stars)
    twin = dataclasses.replace(stars, orbits=_orbits(n, 50.0, 60.0, stars.star))
    single = dataclasses.replace(stars, orbits=no_orbits(n))
    one, two = observe(single), observe(twin)
    np.testing.assert_allclose(one.magnitudes - two.magnitudes, 2.5 * np.log10(2), atol=1e-4)
    np.testing.assert_allclose(two.coefficients, 2 * one.coefficients, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(two.flux_ratio, 1, rtol=1e-4)
    assert np.isnan(one.flux_ratio).all()


def test_the_volume_is_full_of_dwarfs_and_within_its_radius():
    table = pa.concat_tables(survey(800, SurveyConfig(2, selection="volume")))
    assert table["true_distance"].to_numpy().max() < 0.2
    assert (table["true_logg"].to_numpy() > 4).mean() > 0.8
    assert 0.15 < np.mean(table["binary"].to_numpy(zero_copy_only=False)) < 0.44
    g = BANDS.index("g")
    assert g == 0
    young = table["rotation_period"].to_numpy()[table["true_age"].to_numpy() < 1]
    old = table["rotation_period"].to_numpy()[table["true_age"].to_numpy() > 6]
    assert np.nanmedian(young) < 0.5 * np.nanmedian(old)


def test_shards_hold_the_same_stars_as_one_file_and_go_on_after_an_interruption(
    tmp_path, monkeypatch
):
    config = SurveyConfig(7, selection="kepler-like")
    write_survey(900, config, tmp_path / "whole.parquet", quiet=True)
    write_survey(900, config, tmp_path / "shards", shard_size=400, quiet=True)
    names = sorted(p.name for p in (tmp_path / "shards").iterdir())
    assert names == [
        "manifest.json",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]
    parts = [pq.read_table(tmp_path / "shards" / name) for name in names[1:]]
    assert [len(p) for p in parts] == [400, 400, 100]
    assert_same_table(pa.concat_tables(parts), pq.read_table(tmp_path / "whole.parquet"))
    np.testing.assert_array_equal(
        read_columns(tmp_path / "shards")["source_id"],
        read_columns(tmp_path / "whole.parquet")["source_id"],
    )

    before = {name: (tmp_path / "shards" / name).read_bytes() for name in names}
    manifest = json.loads(before["manifest.json"])
    # As a run leaves it that was killed in the second shard.
    manifest["shards"] = manifest["shards"][:1]
    (tmp_path / "shards" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "shards" / names[3]).unlink()
    write_survey(900, config, tmp_path / "shards", shard_size=400, quiet=True)
    assert {name: (tmp_path / "shards" / name).read_bytes() for name in names} == before


def test_folders_of_other_surveys_are_refused_and_damage_is_noticed(tmp_path):
    folder = tmp_path / "shards"
    write_survey(50, SurveyConfig(1), folder, shard_size=25, quiet=True)
    with pytest.raises(FileExistsError, match="other settings"):
        write_survey(50, SurveyConfig(2), folder, shard_size=25, quiet=True)
    (folder / "part-00001.parquet").write_bytes(b"short")
    with pytest.raises(ValueError, match="part-00001.parquet is missing or was changed"):
        write_survey(50, SurveyConfig(1), folder, shard_size=25, quiet=True)
    (folder / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="mine.txt"):
        write_survey(50, SurveyConfig(2), folder, shard_size=25, overwrite=True, quiet=True)
    (folder / "mine.txt").unlink()
    write_survey(30, SurveyConfig(2), folder, shard_size=25, overwrite=True, quiet=True)
    assert len(read_columns(folder)) == 30
    with pytest.raises(ValueError, match="one .parquet file or as a folder"):
        write_survey(30, SurveyConfig(2), tmp_path / "mock.fits")
    with pytest.raises(ValueError, match="shard size must be at least 1"):
        write_survey(30, SurveyConfig(2), tmp_path / "other", shard_size=0)


def test_unlike_shards_are_not_read_as_one_table(tmp_path):
    with pytest.raises(ValueError, match="holds none"):
        read_columns(tmp_path)
    pq.write_table(pa.table({"source_id": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"ra": [1.0]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="differ"):
        read_columns(tmp_path)


def test_light_curves_beside_a_star_are_those_made_on_the_fly():
    config = SurveyConfig(4, selection="volume", light_curves=("gaia", "tess"))
    table = pa.concat_tables(survey(20, config))
    plain = pa.concat_tables(survey(20, SurveyConfig(4, selection="volume")))
    assert_same_table(
        table.select(plain.column_names).replace_schema_metadata(), plain.replace_schema_metadata()
    )
    for row in (plain[7:8].to_pylist()[0], plain[13:14].to_pylist()[0]):
        curve = light_curve_of(row, "tess", seed=4)
        index = plain["source_id"].to_pylist().index(row["source_id"])
        np.testing.assert_array_equal(table["tess_time"][index].values.to_numpy(), curve.time)
        np.testing.assert_array_equal(
            table["tess_flux"][index].values.to_numpy(), curve.flux.astype("f4")
        )
    with pytest.raises(ValueError, match=r"unknown missions \['hst'\].*known are .*'gaia'"):
        SurveyConfig(light_curves=("hst",))


def test_every_kind_of_pulsator_comes_with_its_period():
    table = pa.concat_tables(survey(400, SurveyConfig(4, selection="pulsators")))
    kinds, period = np.array(table["variability"].to_pylist()), table["pulsation_period"].to_numpy()
    typical = {
        "rrab": (0.3, 1.0),
        "rrc": (0.2, 0.5),
        "cepheid": (1, 100),
        "delta_scuti": (0.02, 0.3),
        "lpv": (10, 2000),
        "rrd": (0.3, 0.5),
        "cepheid_1o": (0.3, 7),
        "cepheid_ii": (1, 65),
        "sx_phe": (0.02, 0.2),
        "hads": (0.03, 0.3),
        "gamma_dor": (0.3, 3),
        "spb": (0.5, 4),
        "beta_cep": (0.07, 0.4),
        "osarg": (2, 120),
        "mira": (120, 600),
        "alpha2_cvn": (0.5, 25),
        "flare_star": (0.2, 15),
        "be": (50, 1000),
    }
    assert set(kinds) == set(typical)
    for kind, (low, high) in typical.items():
        assert np.all((period[kinds == kind] > low) & (period[kinds == kind] < high)), kind
    ordinary = pa.concat_tables(survey(3000, SurveyConfig(4, selection="volume")))
    strip = (ordinary["true_teff"].to_numpy() > 6900) & (ordinary["true_logg"].to_numpy() > 3.6)
    scuti = np.array(ordinary["variability"].to_pylist()) == "delta_scuti"
    assert not scuti[~strip].any()
    assert 0.3 < scuti[strip].mean() < 0.7


def test_close_binaries_fill_their_lobes_and_obey_kepler():
    table = pa.concat_tables(survey(1500, SurveyConfig(4, selection="close-binaries")))
    row = {name: table[name].to_numpy() for name in ("orbital_period", "scaled_axis", "mass_ratio")}
    ratio, axis = row["mass_ratio"], row["scaled_axis"]
    axis_in_suns = axis * table["radius"].to_numpy()
    total_mass = table["true_mass"].to_numpy() * (1 + ratio)
    pairs = np.isfinite(axis)
    assert pairs.mean() > 0.95
    np.testing.assert_allclose(
        axis_in_suns[pairs],
        (semi_major_axis(row["orbital_period"], total_mass) * SOLAR_RADII_PER_AU)[pairs],
        rtol=2e-3,
    )
    contact = np.isfinite(table["fill_out"].to_numpy())
    filled_1 = 1 / axis / lobe_radius(1 / ratio)
    filled_2 = table["radius_ratio"].to_numpy() / axis / lobe_radius(ratio)
    assert contact.sum() > 200
    # spheres as large as stars between the inner and the outer lobe
    assert np.all((filled_1[contact] > 0.97) & (filled_1[contact] < 1.3))
    assert np.all((filled_2[contact] > 0.97) & (filled_2[contact] < 1.45))
    semidetached = ~contact & (filled_2 > 0.97)
    assert semidetached.sum() > 200
    assert np.all(filled_1[semidetached] < 0.99)
    others = pairs & ~contact & ~semidetached
    assert np.all(filled_2[others] < 0.97)
    assert table["eclipsing"].to_numpy(zero_copy_only=False).mean() > 0.7


def test_an_unknown_kind_of_pairs_is_no_ordinary_star():
    with pytest.raises(ValueError, match="unknown kind of pairs 'touching'; known are"):
        draw_population(10, np.random.default_rng(0), DustDisc(), (Stratum(pairs="touching"),), {})


def test_describe_prints_the_populations_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["mock", "--describe", "--selection", "volume"])
    printed = capsys.readouterr().out
    for words in ("within 200 pc", "thick", "dwarfs", "eclipsing", "delta_scuti", "teff"):
        assert words in printed
    assert not list(tmp_path.iterdir())
