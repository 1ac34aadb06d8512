"""The mismatch between mock stars and the sky: as large as it says, told as large as it is."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from encoders import Measurement
from multistar.inference.predict import predict
from multistar.modalities.gaia_xp.bright import BRIGHT
from multistar.modalities.gaia_xp.mismatch import error_responses
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix
from multistar.modalities.scalars.mismatch import MAGNITUDE
from multistar.model.mismatch import Mismatch
from multistar.stars import concatenate_stars, read_stars


@pytest.fixture(scope="module")
def stars(star_model, mock_table) -> Measurement:
    return star_model.model.standardiser(read_stars(mock_table[:400]))


@pytest.fixture(scope="module")
def mismatch(star_model) -> Mismatch:
    return Mismatch(star_model.model.standardiser)


def linear(m: Measurement, mismatch: Mismatch) -> torch.Tensor:
    """(B, 110) G-normalised coefficients."""
    standardiser = mismatch.standardiser
    xp = standardiser.vocabulary.places["xp"]
    return m.value[:, xp].sinh() * standardiser.scale[xp] + standardiser.center[xp]


def draw(mismatch: Mismatch, m: Measurement, size: float = 1.0) -> Measurement:
    return mismatch.draw(m, torch.full((len(m.value), 1), size), torch.Generator().manual_seed(0))


def test_size_zero_changes_nothing(mismatch, stars):
    same = draw(mismatch, stars, 0.0)
    torch.testing.assert_close(same.value, stars.value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(same.sigma, stars.sigma, atol=1e-6, rtol=1e-4, equal_nan=True)


def test_responses_are_symmetric_and_small():
    for band in ("bp", "rp"):
        response = error_responses(band)
        assert torch.isfinite(response).all()
        assert torch.allclose(
            response, response.transpose(0, 1), atol=1e-4
        )  # integral of basis_m mode basis_n
        assert (
            float(response.abs().amax((0, 1)).max()) < 0.2
        )  # no mode is larger than twenty percent


def test_the_change_is_as_large_as_told(mismatch, stars):
    changed, told = draw(mismatch, stars), mismatch.state(stars, torch.ones(len(stars.value), 1))
    xp = mismatch.standardiser.vocabulary.places["xp"]
    width, before = (m.sigma[:, xp] * stars.value[:, xp].cosh() for m in (told, stars))
    added = (width**2 - before**2).clamp(min=0).sqrt()
    change = changed.value[:, xp].sinh() - stars.value[:, xp].sinh()
    ratio = (change**2).mean(0).sqrt() / (added**2).mean(0).sqrt()
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.05)
    assert 0.75 < float(ratio.min()) < float(ratio.max()) < 1.25
    standardiser = mismatch.standardiser
    colours = standardiser.vocabulary.scalar_part.colours
    moved = (changed.value - stars.value)[:, colours] * standardiser.scale[colours]
    assert float(moved.std()) == pytest.approx(MAGNITUDE, rel=0.1)


def test_calibrated_flux_is_off_by_what_real_stars_show(mismatch, stars):
    """5 % at 400-500 nm, 1-2 % at 600-850 nm, 5 % beyond: the residuals of scripts/compare_real_xp.py."""
    flux = torch.from_numpy(flux_matrix()).float()
    before, after = linear(stars, mismatch) @ flux, linear(draw(mismatch, stars), mismatch) @ flux
    off = 100 * ((after - before) / before).abs().median(0).values.numpy() / 0.67
    for low, high, least, most in ((420, 500, 3, 10), (600, 850, 0.5, 3), (890, 1000, 3, 8)):
        inside = (low < WAVELENGTH) & (high > WAVELENGTH)
        assert least < np.median(off[inside]) < most, (low, high)


def test_what_is_not_observed_has_no_influence_and_stays(mismatch, stars):
    observed = stars.observed.clone()
    observed[:, 30:60] = False
    results = []
    for filler in (0.0, 3.0):
        value = torch.where(observed, stars.value, filler)
        results.append(draw(mismatch, Measurement(value, stars.sigma, observed)))
        assert (results[-1].value[~observed] == filler).all()
    assert torch.equal(results[0].value[observed], results[1].value[observed])


def test_only_stars_of_the_sky_get_larger_errors_told(star_model, mock_table):
    """The same stars, once said to be mock ones by their table and once not."""
    model = star_model.model.with_mismatch(True)
    faint = mock_table.filter(pc.greater(mock_table["phot_g_mean_mag"], BRIGHT))[:50]
    mock, sky = (read_stars(t) for t in (faint, without_origin(faint)))
    assert mock.origin == "mock"
    assert sky.origin == "sky"
    plain = predict(star_model.model, read_stars(faint), quiet=True)
    assert predict(model, mock, quiet=True).equals(plain)
    assert not predict(model, sky, quiet=True).equals(plain)
    untrained = predict(star_model.model, sky, quiet=True)
    np.testing.assert_array_equal(untrained["teff"].to_numpy(), plain["teff"].to_numpy())


def without_origin(table):
    return table.replace_schema_metadata(None)


def test_no_column_name_makes_stars_mock_ones(mock_table):
    """Neither the truth of a mock star, which anybody's table may hold, nor an orbit's true anomaly."""
    bare = without_origin(mock_table[:5])
    assert read_stars(bare).origin == "sky"
    orbits = bare.append_column("true_anomaly", pa.array(np.ones(5)))
    assert read_stars(orbits).origin == "sky"
    assert read_stars(orbits, origin="mock").origin == "mock"
    assert read_stars(mock_table[:5], origin="sky").origin == "sky"
    with pytest.raises(ValueError, match='origin must be "sky" or "mock"'):
        read_stars(bare, origin="real")
    with pytest.raises(ValueError, match="real and of mock stars"):
        concatenate_stars([read_stars(bare), read_stars(mock_table[:5])])
