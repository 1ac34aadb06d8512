"""Encoders: what is not observed has no influence, bit for bit."""

import pytest
import torch

from encoders import (
    ENCODERS,
    LightCurveEncoder,
    LightCurveLayout,
    Measurement,
    ScalarEncoder,
    SpectrumEncoder,
    XPComponents,
    XPEncoder,
)

B, N_BP, N_RP = 5, 7, 6

LAYOUT = LightCurveLayout(summary=11, spectrum=20, profile=16, patches=3, samples=4)


def some_measurement(n: int, seed: int = 0) -> Measurement:
    g = torch.Generator().manual_seed(seed)
    observed = torch.rand(B, n, generator=g) < 0.6
    return Measurement(
        torch.randn(B, n, generator=g), torch.rand(B, n, generator=g) + 0.1, observed
    )


ENCODER_SIZES = {
    "scalars": (ScalarEncoder(9, 16), 9),
    "xp": (XPEncoder(N_BP, N_RP, 4, 16), N_BP + N_RP),
    "xp_components": (XPComponents(N_BP + N_RP, 6, 4, 16), N_BP + N_RP),
    "lightcurve": (LightCurveEncoder(LAYOUT, 16), LAYOUT.n_slots),
    "spectrum": (SpectrumEncoder((40, 10, 1), 16), 51),
}


def test_every_registered_encoder_is_tested():
    assert set(ENCODER_SIZES) == set(ENCODERS)


@pytest.mark.parametrize("name", ENCODER_SIZES)
@pytest.mark.parametrize("junk", [1e9, float("nan"), float("inf"), -1e30])
def test_unobserved_values_change_nothing_bitwise(name, junk):
    encoder, n = ENCODER_SIZES[name]
    m = some_measurement(n)
    filled = Measurement(
        torch.where(m.observed, m.value, junk), torch.where(m.observed, m.sigma, junk), m.observed
    )
    a, b = encoder(m), encoder(filled)
    assert torch.equal(a.features, b.features)
    assert torch.equal(a.observed, b.observed)


def test_unknown_sigma_differs_from_a_tiny_and_a_large_one():
    encoder = ENCODER_SIZES["scalars"][0]
    m = some_measurement(9)
    outputs = [
        encoder(Measurement(m.value, torch.full_like(m.sigma, s), m.observed)).features
        for s in (float("nan"), 1e-3, 1.0)
    ]
    shown = m.observed
    assert not torch.allclose(outputs[0][shown], outputs[1][shown])
    assert not torch.allclose(outputs[0][shown], outputs[2][shown])


def test_xp_patches_do_not_straddle_bands():
    encoder = ENCODER_SIZES["xp"][0]
    observed = torch.zeros(1, N_BP + N_RP, dtype=torch.bool)
    observed[0, N_BP - 1] = True  # the last BP order is in BP's second and last patch of four
    tokens = encoder(Measurement(torch.ones(1, N_BP + N_RP), torch.ones(1, N_BP + N_RP), observed))
    assert tokens.observed.tolist() == [[False, True, False, False]]


def light_curve_slots(*shown: str) -> Measurement:
    """One light curve of which only these parts are observed."""
    observed = torch.zeros(1, LAYOUT.n_slots, dtype=torch.bool)
    for name in shown:
        observed[:, LAYOUT.parts[name]] = True
    g = torch.Generator().manual_seed(3)
    return Measurement(
        torch.randn(observed.shape, generator=g), torch.ones(observed.shape), observed
    )


@pytest.mark.parametrize(
    "part, tokens",
    [("summary", range(0, 2)), ("spectrum", range(2, 5)), ("profile", range(5, 6)), ("samples", range(6, 9)),
     ("sample_times", []), ("sample_band", [])],
)  # fmt: skip
def test_each_part_of_a_light_curve_has_its_tokens_and_times_alone_none(part, tokens):
    observed = ENCODER_SIZES["lightcurve"][0](light_curve_slots(part)).observed
    assert torch.nonzero(observed[0]).flatten().tolist() == list(tokens)


def test_patches_of_samples_are_a_set():
    """Three patches in another order give the same three tokens in that order; their times count."""
    encoder, parts = ENCODER_SIZES["lightcurve"][0], LAYOUT.parts
    m = light_curve_slots("samples", "sample_times", "sample_band")
    mixed = m.value.clone()
    order = [2, 0, 1]
    for name in ("samples", "sample_times", "sample_band"):
        mixed[:, parts[name]] = m.value[:, parts[name]].reshape(1, 3, -1)[:, order].reshape(1, -1)
    tokens, other = (
        encoder(m).features[0, -3:],
        encoder(Measurement(mixed, m.sigma, m.observed)).features[0, -3:],
    )
    torch.testing.assert_close(other, tokens[order])
    for name in ("sample_times", "sample_band"):
        moved = m.value.clone()
        moved[:, parts[name].start] += 1
        later = encoder(Measurement(moved, m.sigma, m.observed)).features[0, -3:]
        assert not torch.allclose(later[0], tokens[0])
        assert torch.equal(later[1:], tokens[1:])
