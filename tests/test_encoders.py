"""Encoders: what is not observed has no influence, bit for bit."""

import pytest
import torch

from encoders import ENCODERS, Measurement, ScalarEncoder, XPEncoder

B, N_BP, N_RP = 5, 7, 6


def some_measurement(n: int, seed: int = 0) -> Measurement:
    g = torch.Generator().manual_seed(seed)
    observed = torch.rand(B, n, generator=g) < 0.6
    return Measurement(torch.randn(B, n, generator=g), torch.rand(B, n, generator=g) + 0.1, observed)


ENCODER_SIZES = {"scalars": (ScalarEncoder(9, 16), 9), "xp": (XPEncoder(N_BP, N_RP, 4, 16), N_BP + N_RP)}


def test_every_registered_encoder_is_tested():
    assert set(ENCODER_SIZES) == set(ENCODERS)


@pytest.mark.parametrize("name", ENCODER_SIZES)
@pytest.mark.parametrize("junk", [1e9, float("nan"), float("inf"), -1e30])
def test_unobserved_values_change_nothing_bitwise(name, junk):
    encoder, n = ENCODER_SIZES[name]
    m = some_measurement(n)
    filled = Measurement(torch.where(m.observed, m.value, junk), torch.where(m.observed, m.sigma, junk), m.observed)
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
