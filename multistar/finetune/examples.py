"""Stars with the labels to be learnt, standardised, and which of them are held out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from astropy import units as u
from astropy_healpix import lonlat_to_healpix
from torch import Tensor

from encoders import Measurement
from multistar.finetune.request import Request
from multistar.inference.stream import show_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars
from multistar.training.data import held_out
from multistar.training.masks import OUTLIER

SPLITS = ("star", "healpix")
BLOCK_LEVEL = 5  # HEALPix level of the blocks on the sky: 1.8 degrees
GAIA_LEVEL = 12  # source_id // 2**35 is the nested HEALPix number at this level
FEWEST = 5  # stars with a label, on either side of the split


@dataclass(frozen=True)
class Examples:
    """stars (n, n_slots) as the encoder sees them; target (n, Q), its errors and which are known; codes (n, C)."""

    stars: Measurement
    target: (
        Measurement  # sigma is 0 where the error is unknown: the label is then taken as it stands
    )
    codes: Tensor  # number of the class, -1 = missing

    def __len__(self) -> int:
        return len(self.codes)

    def useful(self) -> Tensor:
        """(n,) which stars have a measurement and a label. ValueError if none has a measurement."""
        measured = self.stars.observed.any(1)
        if not measured.any():
            raise ValueError(
                "no star has a measurement that the model reads; name your columns with --columns"
            )
        return measured & (self.target.observed.any(1) | (self.codes >= 0).any(1))

    def rows(self, which: slice | Tensor) -> "Examples":
        """Take some of the examples."""
        return Examples(self.stars.rows(which), self.target.rows(which), self.codes[which])


def examples(
    model: Model, request: Request, stars: Stars, codes: Mapping[str, np.ndarray]
) -> Examples:
    """All stars of the table; labels far outside (OUTLIER) are faults of the data and count as missing."""
    z = model.standardiser(stars)
    slots = [model.vocabulary.slot(q.name) for q in request.targets]
    known = z.observed[:, slots] & (z.value[:, slots].abs() < OUTLIER)
    target = Measurement(z.value[:, slots], torch.nan_to_num(z.sigma[:, slots]), known)
    columns = [torch.from_numpy(codes[name]) for name in request.classes]
    stacked = torch.stack(columns, 1) if columns else torch.zeros(len(stars), 0, dtype=torch.long)
    return Examples(show_measurements(model, stars, request.given), target, stacked)


def used(
    train: Examples, validation: Examples, request: Request, stars: Stars, measured: np.ndarray
) -> dict[str, dict[str, int]]:
    """Label -> how many values training and held-out stars have; of the table's other numbers, how many are far from
    all others (`far`), and how many are of stars without measurements (`unmeasured`)."""
    known = [_count_labels(part) for part in (train, validation)]
    out = {
        name: {"training": n, "held_out": m}
        for name, n, m in zip(request.names, *known, strict=True)
    }
    for quantity in request.targets:
        there = np.isfinite(stars.scalars[quantity.name].value)
        unmeasured = int((there & ~measured).sum())
        far = int(there.sum()) - sum(out[quantity.name].values()) - unmeasured
        out[quantity.name] |= {"far": far, "unmeasured": unmeasured}
    return out


def held_out_stars(stars: Stars, split: str, share: float) -> np.ndarray:
    """(n,) True for the stars kept for validation: by a hash of the id, or of the place on the sky.

    Raises ValueError for "healpix" if the stars have neither ra and dec [deg] nor Gaia ids.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}")
    return held_out(stars.source_id if split == "star" else _blocks(stars), share)


def _blocks(stars: Stars) -> np.ndarray:
    if {"ra", "dec"} <= set(stars.extra):
        place = [stars.extra[name] for name in ("ra", "dec")]
        ra, dec = (np.nan_to_num(x) * u.deg for x in place)
        block = np.asarray(lonlat_to_healpix(ra, dec, 2**BLOCK_LEVEL, order="nested"), np.int64)
        return np.where(
            np.isfinite(place).all(0), block, stars.source_id
        )  # without a place, each by itself
    if np.max(stars.source_id, initial=0) < 2**35:
        raise ValueError(
            "split by healpix needs columns ra and dec, or Gaia source_ids, which tell the place; use star"
        )
    return stars.source_id // 2 ** (35 + 2 * (GAIA_LEVEL - BLOCK_LEVEL))


def check_split(request: Request, whole: Examples, train: Examples, validation: Examples) -> None:
    """ValueError that names the label of which one side has fewer than FEWEST stars.

    whole: all stars of the table, with measurements and without.
    """
    labelled = _count_labels(whole)
    for side, part in (("training", train), ("held-out", validation)):
        for name, number, there in zip(request.names, _count_labels(part), labelled, strict=True):
            if number < FEWEST:
                measured = int(whole.stars.observed.any(1).sum())
                raise ValueError(
                    f"{name}: {number} {side} stars with this label, expected at least {FEWEST}. Of "
                    f"{len(whole)} stars {there} have the label, and {measured} a measurement that "
                    "the model reads; name your columns with --columns, give more stars, or "
                    "another share with --held-out"
                )


def _count_labels(part: Examples) -> list[int]:
    """How many stars have each label."""
    return torch.cat([part.target.observed, part.codes >= 0], 1).sum(0).tolist()
