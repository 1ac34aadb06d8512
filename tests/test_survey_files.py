"""Files of surveys, written to the documented layouts, come out as what was put into them."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.nddata import InverseVariance

from multistar.cli.app import main
from multistar.modalities.spectrum.read import LIGHT_SPEED, to_vacuum
from multistar.modalities.spectrum.surveys import read_files, read_specutils
from multistar.stars import read_stars

OPTICAL = np.linspace(3800.0, 9000.0, 3000)  # Angstrom


def flux_of(wavelength: np.ndarray) -> np.ndarray:
    """A slope with a line at 6563 Angstrom."""
    line = 1 - 0.5 * np.exp(-0.5 * ((wavelength - 6563) / 8) ** 2)
    return (wavelength / 5500) ** -1.5 * line


def inverse_variance(n: int) -> np.ndarray:
    """Errors of 0.02; the third pixel is bad."""
    inverse = np.full(n, 0.02**-2)
    inverse[2] = 0
    return inverse


def write_sdss(folder):
    coadd = {
        "flux": flux_of(OPTICAL),
        "loglam": np.log10(OPTICAL),
        "ivar": inverse_variance(3000),
        "wdisp": np.full(3000, 1.0),
    }
    columns = [fits.Column(name, "E", array=values) for name, values in coadd.items()]
    about = [
        fits.Column("Z", "E", array=[1e-4]),
        fits.Column("CLASS", "6A", array=["STAR"]),
    ]
    hdus = [fits.PrimaryHDU(), *map(fits.BinTableHDU.from_columns, (columns, about))]
    path = folder / "spec-2345-54321-0042.fits"
    fits.HDUList(hdus).writeto(path)
    return path


def write_lamost(folder, release: int):
    header = fits.Header(
        {"TELESCOP": "LAMOST", "OBSID": 101 + release, "Z": -2e-4, "CLASS": "STAR"}
    )
    header["DESIG"] = f"LAMOST J{release}"
    flux, inverse = flux_of(OPTICAL), inverse_variance(3000)
    path = folder / f"spec-{release}-sp01-001.fits"
    if release < 8:
        image = np.stack([flux, inverse, OPTICAL, 0 * flux, 0 * flux]).astype(np.float32)
        fits.PrimaryHDU(image, header).writeto(path)
        return path
    parts = {"FLUX": flux, "IVAR": inverse, "WAVELENGTH": OPTICAL}
    columns = [fits.Column(name, "3000E", array=values[None]) for name, values in parts.items()]
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    fits.HDUList([fits.PrimaryHDU(header=header), table]).writeto(path)
    return path


def apogee_grid() -> np.ndarray:
    return 10 ** (4.179 + 6e-6 * np.arange(8575))


def write_apogee(folder, is_normalised: bool):
    flux = np.full(8575, 0.9 if is_normalised else 90.0)
    error = np.where(np.arange(8575) == 2, 1e10, 0.02 * flux)
    mask = np.zeros(8575, np.int16)
    mask[5] = 4  # saturated
    rows = (flux, error, mask)
    if not is_normalised:
        rows = tuple(np.stack([row, row, 0 * row]) for row in rows)
    images = [fits.ImageHDU(row) for row in rows]
    for image in images:
        image.header["CRVAL1"], image.header["CDELT1"] = 4.179, 6e-6
    kind = "aspcapStar" if is_normalised else "apStar"
    primary = fits.PrimaryHDU(header=fits.Header({"OBJID": "2M00000002+7417074"}))
    path = folder / f"{kind}-dr17-2M00000002+7417074.fits"
    fits.HDUList([primary, *images]).writeto(path)
    return path


def write_galah(folder):
    for camera, first in zip("1234", (4713, 5648, 6478, 7585), strict=True):
        header = fits.Header({"CRVAL1": float(first), "CDELT1": 0.05, "CRPIX1": 0})
        grid = first + 0.05 * np.arange(4096)
        relative = np.full(4096, 0.02)
        parts = [fits.PrimaryHDU(flux_of(grid), header)]
        parts += [fits.ImageHDU(x) for x in (relative, grid, grid, np.ones(4096))]
        fits.HDUList(parts).writeto(folder / f"131116000501002{camera}.fits")
    return folder


def write_desi(folder):
    targets = fits.Column("TARGETID", "K", array=[39627, 39628])
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([targets], name="FIBERMAP")]
    for letter, (low, high) in zip("BRZ", ((3600, 5800), (5760, 7620), (7520, 9824)), strict=True):
        grid = np.arange(low, high, 0.8)
        flux = np.stack([flux_of(grid), 2 * flux_of(grid)])
        inverse = np.stack([inverse_variance(len(grid))] * 2)
        mask = np.zeros(flux.shape, np.int32)
        mask[1, 7] = 1
        for name, values in (
            ("WAVELENGTH", grid),
            ("FLUX", flux),
            ("IVAR", inverse),
            ("MASK", mask),
        ):
            hdus.append(fits.ImageHDU(values, name=f"{letter}_{name}"))
    path = folder / "coadd-main-dark-10.fits"
    fits.HDUList(hdus).writeto(path)
    return path


def row(table, number: int = 0) -> dict:
    values = table.slice(number, 1).to_pylist()[0]
    return {k: np.array(v) if isinstance(v, list) else v for k, v in values.items()}


def test_sdss(tmp_path):
    table, left_out = read_files([write_sdss(tmp_path)])
    star = row(table)
    assert not left_out
    assert (star["survey"], star["name"]) == ("sdss", "2345-54321-0042")
    assert star["source_id"] == 2345_54321_0042
    np.testing.assert_allclose(star["spectrum_wavelength"], OPTICAL / 10, rtol=1e-6)
    assert np.flatnonzero(np.isnan(star["spectrum_flux"])).tolist() == [2]
    assert star["radial_velocity"] == pytest.approx(1e-4 * LIGHT_SPEED, rel=1e-6)
    assert star["spectrum_resolving_power"] == pytest.approx(1844, rel=0.01)
    assert star["spectrum_flux_error"][0] == pytest.approx(0.02)


@pytest.mark.parametrize("release", [5, 10])
def test_lamost_of_old_and_new_releases(tmp_path, release):
    table, _ = read_files([write_lamost(tmp_path, release)])
    star = row(table)
    assert (star["survey"], star["source_id"]) == ("lamost", 101 + release)
    np.testing.assert_allclose(star["spectrum_wavelength"], OPTICAL / 10, rtol=1e-6)
    np.testing.assert_allclose(star["spectrum_flux"][3:], flux_of(OPTICAL)[3:], rtol=1e-6)
    assert star["radial_velocity"] == pytest.approx(-2e-4 * LIGHT_SPEED)
    assert np.isnan(star["spectrum_flux"][2])


@pytest.mark.parametrize("is_normalised", [False, True])
def test_apogee(tmp_path, is_normalised):
    table, _ = read_files([write_apogee(tmp_path, is_normalised)])
    star = row(table)
    assert star["name"] == "2M00000002+7417074"
    assert star["spectrum_normalised"] == is_normalised
    assert star["radial_velocity"] == 0
    np.testing.assert_allclose(star["spectrum_wavelength"], apogee_grid() / 10, rtol=1e-9)
    bad = np.flatnonzero(np.isnan(star["spectrum_flux"])).tolist()
    assert bad == ([2] if is_normalised else [2, 5])


def test_fluxes_and_the_normalised_spectrum_of_a_star_are_two_rows(tmp_path):
    write_apogee(tmp_path, True)
    write_apogee(tmp_path, False)
    table, _ = read_files([tmp_path])
    assert sorted(table["spectrum_normalised"].to_pylist()) == [0.0, 1.0]
    assert set(table["name"].to_pylist()) == {"2M00000002+7417074"}


def test_a_file_of_another_survey_is_named(tmp_path):
    write_lamost(tmp_path, 10)
    with pytest.raises(ValueError, match="expected a name like spec-PLATE-MJD-FIBER"):
        read_files([tmp_path], survey="sdss")


def test_the_cameras_of_galah_are_one_star_in_vacuum(tmp_path):
    table, _ = read_files([write_galah(tmp_path)])
    assert len(table) == 1
    star = row(table)
    assert star["source_id"] == 131116000501002
    assert np.unique(star["spectrum_arm"]).tolist() == [0, 1, 2, 3]
    assert star["spectrum_wavelength"][0] == pytest.approx(to_vacuum(np.array(471.3)), rel=1e-9)
    assert star["spectrum_wavelength"][0] > 471.3


def test_desi_has_many_stars_in_a_file(tmp_path):
    table, _ = read_files([write_desi(tmp_path)])
    assert table["source_id"].to_pylist() == [39627, 39628]
    one, other = row(table, 0), row(table, 1)
    assert len(np.unique(one["spectrum_arm"])) == 3
    assert np.isnan(one["spectrum_flux"]).sum() == 3  # the bad pixel of each arm
    assert np.isnan(other["spectrum_flux"]).sum() == 6
    np.testing.assert_allclose(other["spectrum_flux"][20], 2 * one["spectrum_flux"][20])


def test_specutils_objects(tmp_path):
    class Spectrum:  # what is used of specutils.Spectrum
        flux = flux_of(OPTICAL[::-1]) * u.Jy
        spectral_axis = u.Quantity(OPTICAL[::-1], u.AA)
        uncertainty = InverseVariance(np.full(3000, 0.02**-2))
        mask = np.arange(3000) == 2999

    star = row(read_specutils([Spectrum()], [7]))
    np.testing.assert_allclose(star["spectrum_wavelength"], OPTICAL / 10)
    assert np.flatnonzero(np.isnan(star["spectrum_flux"])).tolist() == [0]
    np.testing.assert_allclose(star["spectrum_flux_error"], 0.02, rtol=1e-6)


def test_what_the_command_writes_is_read_as_spectra(tmp_path, capsys):
    folder = tmp_path / "files"
    folder.mkdir()
    write_sdss(folder)
    write_lamost(folder, 10)
    (folder / "notes.fits").write_text("not a FITS file")
    ids = pd.DataFrame({"name": ["spec-2345-54321-0042.fits", "LAMOST J10"], "source_id": [4, 5]})
    ids.to_csv(tmp_path / "ids.csv", index=False)
    out = str(tmp_path / "spectra.parquet")
    words = ["spectra", str(folder), "--ids", str(tmp_path / "ids.csv"), "--out", out]
    assert main(words) == 3  # one was left out
    printed = capsys.readouterr().out
    assert "2 stars written" in printed and "notes.fits" in printed
    stars = read_stars(out)
    assert sorted(stars.source_id.tolist()) == [4, 5]
    assert stars.blocks["spectrum"].has_any.all()
    # both are at rest: the line is where it belongs, shifted by its velocity
    spectra = stars.blocks["spectrum"]
    for star, velocity in enumerate((-2e-4, 1e-4)[:: 1 if stars.source_id[0] == 5 else -1]):
        grid = spectra.grids[spectra.grid_of[star]]
        near = (grid > 650) & (grid < 662)
        assert grid[near][np.nanargmin(spectra.flux[star][near])] == pytest.approx(
            656.3 / (1 + velocity), abs=0.2
        )
    assert main(words) == 2  # nothing is replaced


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere", "no such file"),
        (lambda folder: folder, "none of 0 files"),
    ],
)
def test_nothing_to_read_is_said(tmp_path, make, message):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        read_files([make(tmp_path)])
    with pytest.raises(ValueError, match="known are sdss"):
        read_files([tmp_path], survey="sloan")
