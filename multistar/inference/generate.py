"""Labels (and photometry) -> XP coefficients with errors and correlations, and sampled spectra."""

import numpy as np
import pyarrow as pa
import torch

from multistar import status
from multistar.inference.samples import SCORES, joint_samples, with_marginals
from multistar.inference.stream import encode_stars
from multistar.io.write import to_arrow
from multistar.modalities.gaia_xp.modality import g_flux
from multistar.modalities.gaia_xp.read import VECTORS, XPCoefficients, archive_columns
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS, WAVELENGTH, flux_matrix
from multistar.model.checkpoint import Model
from multistar.model.fusion import Memory
from multistar.stars import Stars

SAMPLES = 64
CLIP = 5.0  # errors; a sample farther out says nothing more about a correlation
NOT_INPUT = (
    "no_xp",
    "no_xp_error",
    "no_g",
    "no_data",
)  # what `read_stars` says of a table without spectra


def generate(
    model: Model,
    stars: Stars,
    samples: int = SAMPLES,
    seed: int = 0,
    sampled: bool = False,
    quiet: bool = False,
) -> pa.Table:
    """The noise-free XP spectra that stars of these labels and magnitudes have, in the archive's
    layout.

    Columns: source_id, status, phot_g_mean_mag (as given, or the median of what the model draws),
    and for each band those of `archive_columns` [e-/s]. Values are medians of joint samples,
    errors half the distance of their 16th and 84th percentiles, correlations those of the
    samples. Coefficients in the table are not used. A label without an error counts as known to
    the precision of the training labels.

    sampled  also `flux` and `flux_error` [W m-2 nm-1] at 336, 338 ... 1020 nm, by GaiaXPy's
             calibration: the flux of the median coefficients, its error from the samples

    Raises ValueError if the model has no XP, if samples < 2, or if `sampled` is asked for orders
    other than those that GaiaXPy knows (55 + 55).
    """
    _check(model, samples, sampled)
    meant = sum(status.BIT[name] for name in NOT_INPUT)
    bare = stars.with_blocks(xp=None).with_flags(stars.flags & ~meant)
    given = stars.scalars["g"].value if "g" in stars.scalars else np.full(len(stars), np.nan)
    generator = torch.Generator().manual_seed(seed)
    parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    flags = bare.flags.copy()
    for batch in encode_stars(model, bare, "generate", quiet, labels=True):
        rows, memory, flags[batch.rows] = batch.rows, batch.memory, batch.flags
        g = given[rows]
        for which in (np.isfinite(g), ~np.isfinite(g)):
            if which.any():
                mask = torch.from_numpy(which).to(memory.features.device)
                drawn_g, spectra = drawn_coefficients(
                    model, memory.rows(mask), g[which], samples, generator
                )
                parts.append(
                    (np.arange(len(stars))[rows][which], _summary(drawn_g, spectra, sampled))
                )
    columns = {"source_id": stars.source_id, "status": status.words(flags)} | _in_order(parts)
    metadata = {
        "model_sha256": model.hash,
        "precision": model.precision,
        "samples": f"{samples} joint draws, seed {seed}",
        "coefficients": "e-/s",
    }
    if sampled:
        metadata |= {
            "flux": "W m-2 nm-1",
            "wavelength": f"{WAVELENGTH[0]} to {WAVELENGTH[-1]} nm in steps of 2 nm",
        }
    return to_arrow(columns, metadata, ragged=VECTORS)


def _check(model: Model, samples: int, sampled: bool) -> None:
    orders = {band: len(slots) for band, slots in model.vocabulary.band_slots.items()}
    if not all(orders.values()):
        raise ValueError(
            f"the model was trained on {orders} XP orders; spectra need a model trained on "
            "both bands"
        )
    if samples < 2:
        raise ValueError(f"samples={samples} must be at least 2, so that there are errors")
    if sampled and orders != DR3_ORDERS:
        raise ValueError(
            f"GaiaXPy knows sampled spectra of {DR3_ORDERS} orders, the model has {orders}"
        )


def chain(model: Model) -> list[int]:
    """XP slots from low to high orders, which carry most first."""
    bands = model.vocabulary.band_slots.values()
    return [
        slot for _, slot in sorted((slot - slots.start, slot) for slots in bands for slot in slots)
    ]


@torch.inference_mode()
def drawn_coefficients(
    model: Model, memory: Memory, g: np.ndarray, n: int, generator: torch.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Joint draws of noise-free spectra given what the memory holds.

    G (B, n), coefficients (B, n, orders) by band.

    g (B,) is the magnitude that scales them; where it is not known (NaN, of all or of none) it is
    drawn first.
    """
    slots = chain(model) if np.isfinite(g).all() else [model.vocabulary.slot("g"), *chain(model)]
    order, levels = torch.tensor(slots), torch.special.ndtr(SCORES)
    chained = joint_samples(model, memory, order, n, generator)
    mixture = model.network.decode(memory, order.to(memory.features.device))
    z = with_marginals(mixture, chained, levels, generator).double().numpy()
    if len(slots) > len(chain(model)):
        magnitude = model.standardiser.physical("g", z[..., 0])
    else:
        magnitude = np.repeat(g[:, None], n, 1)
    place = {slot: i for i, slot in enumerate(slots)}
    bands = model.vocabulary.band_slots.items()
    spectra = {band: z[..., [place[slot] for slot in slots_]] for band, slots_ in bands}
    return magnitude, {
        band: to_coefficients(model, band, x, magnitude) for band, x in spectra.items()
    }


def to_coefficients(model: Model, band: str, z: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Standardised XP slots (..., orders) of a band -> coefficients [e-/s] of stars of magnitude g
    (...).

    Orders may be fewer than the model has. Increasing in z, so quantiles carry over.
    """
    slots = model.vocabulary.band_slots[band][: z.shape[-1]]
    return model.standardiser.unscale(slots, z) * g_flux(g)[..., None]


def _summary(g: np.ndarray, spectra: dict[str, np.ndarray], sampled: bool) -> dict[str, np.ndarray]:
    """Output columns of some stars from their samples (B, n, ...)."""
    xp = {band: XPCoefficients(np.median(x, axis=1), _half_width(x)) for band, x in spectra.items()}
    correlation = {
        band: _correlation((x - xp[band].value[:, None]) / xp[band].sigma[:, None])
        for band, x in spectra.items()
    }
    columns = {"phot_g_mean_mag": np.median(g, axis=1)} | archive_columns(xp, correlation)
    if sampled:
        columns["flux"] = np.hstack([x.value for x in xp.values()]) @ flux_matrix()
        columns["flux_error"] = _half_width(
            np.concatenate(list(spectra.values()), axis=-1) @ flux_matrix()
        )
    return columns


def _half_width(x: np.ndarray) -> np.ndarray:
    """(B, n, ...) -> (B, ...): half of the central 68 %, which heavy tails do not move."""
    low, high = np.quantile(x, [0.16, 0.84], axis=1)
    return (high - low) / 2


def _correlation(residual: np.ndarray) -> np.ndarray:
    """(B, n, k) residuals in units of their errors -> (B, k, k)."""
    clipped = np.clip(residual, -CLIP, CLIP)
    clipped -= clipped.mean(1, keepdims=True)
    covariance = np.einsum("bni,bnj->bij", clipped, clipped)
    width = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    return covariance / width[:, :, None] / width[:, None]


def _in_order(parts: list[tuple[np.ndarray, dict[str, np.ndarray]]]) -> dict[str, np.ndarray]:
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    return {
        name: np.concatenate([columns[name] for _, columns in parts])[order] for name in parts[0][1]
    }
