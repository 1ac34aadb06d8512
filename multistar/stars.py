"""Stars: everything measured about a list of stars, in physical units, one row per input row."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np

from multistar import status
from multistar.io.ids import ids_and_flags
from multistar.io.tables import Columns, read_columns
from multistar.modalities.gaia_xp.read import XPCoefficients, read_xp
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.modalities.light_curve.features import N_SLOTS, LightCurveView, view
from multistar.modalities.light_curve.points import LightCurves, join, match
from multistar.quantities import QUANTITIES, Quantity

MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10)


@dataclass
class Scalar:
    """value, sigma (n,) float64 in the quantity's unit; NaN value = not observed, NaN sigma = unknown."""

    value: np.ndarray
    sigma: np.ndarray


@dataclass(repr=False)
class Stars:
    """source_id (n,) int64; flags (n,) bits of status.BIT; scalars by quantity name; xp by band; light_curve."""

    source_id: np.ndarray
    flags: np.ndarray
    scalars: dict[str, Scalar]
    xp: dict[str, XPCoefficients]
    extra: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # other numeric columns, carried along
    light_curve: LightCurveView | None = None

    def __len__(self) -> int:
        return len(self.source_id)

    def __repr__(self) -> str:
        bands = {band: x.value.shape[1] for band, x in self.xp.items()}
        curves = ", light curves" if self.light_curve is not None else ""
        return f"Stars({len(self)} stars: {', '.join(self.scalars)}; XP orders {bands}{curves})"

    @property
    def mock(self) -> bool:
        """Whether the table came with a mock survey's truth, which no star of the sky has."""
        return any(name.startswith("true_") for name in self.extra)

    def select(self, rows) -> "Stars":
        """The given rows (slice, indices or boolean mask)."""
        return Stars(
            self.source_id[rows],
            self.flags[rows],
            {k: Scalar(s.value[rows], s.sigma[rows]) for k, s in self.scalars.items()},
            {k: XPCoefficients(x.value[rows], x.sigma[rows]) for k, x in self.xp.items()},
            {k: v[rows] for k, v in self.extra.items()},
            self.light_curve
            and LightCurveView(self.light_curve.value[rows], self.light_curve.sigma[rows]),
        )

    def with_light_curves(self, curves: LightCurves, quiet: bool = True) -> "Stars":
        """The same stars with their light curves, found by source_id; flags say who has none."""
        matched = match(curves, self.source_id)
        bad = matched.flags & status.BIT["bad_value"]
        stars = dataclasses.replace(self, light_curve=view(matched, quiet), flags=self.flags | bad)
        _flag_light_curves(stars)
        return stars

    @classmethod
    def of_light_curves(cls, curves: LightCurves, quiet: bool = True) -> "Stars":
        """Stars of which nothing but a light curve is known, one per id."""
        joined = join(curves)
        flags = joined.flags | status.BIT["no_xp"]
        stars = cls(joined.source_id, flags, {}, {}, light_curve=view(joined, quiet))
        _flag_light_curves(stars)
        return stars


def concatenate(parts: list[Stars]) -> Stars:
    """One after the other; what a part lacks is not observed there. XP bands must have the same orders in all."""
    if len(parts) == 1:
        return parts[0]
    flags, ids = (np.concatenate([vars(p)[f] for p in parts]) for f in ("flags", "source_id"))
    scalars, xp = {}, {}
    for name in dict.fromkeys(name for p in parts for name in p.scalars):
        columns = [p.scalars.get(name) or Scalar(*np.full((2, len(p)), np.nan)) for p in parts]
        scalars[name] = Scalar(
            *(np.concatenate([vars(c)[f] for c in columns]) for f in ("value", "sigma"))
        )
    for band in dict.fromkeys(band for p in parts for band in p.xp):
        orders = {p.xp[band].value.shape[1] for p in parts if band in p.xp}
        if len(orders) > 1:
            raise ValueError(f"tables with {sorted(orders)} {band} coefficients cannot be joined")
        absent = orders.pop()
        bands = [
            p.xp.get(band) or XPCoefficients(*np.full((2, len(p), absent), np.nan)) for p in parts
        ]
        xp[band] = XPCoefficients(
            *(np.concatenate([vars(b)[f] for b in bands]) for f in ("value", "sigma"))
        )
    extra = {
        k: np.concatenate([p.extra[k] for p in parts])
        for k in parts[0].extra
        if all(k in p.extra for p in parts)
    }
    seen = None
    if any(p.light_curve is not None for p in parts):
        views = [
            p.light_curve or LightCurveView(*np.full((2, len(p), N_SLOTS), np.nan, np.float32))
            for p in parts
        ]
        seen = LightCurveView(
            *(np.concatenate([vars(v)[f] for v in views]) for f in ("value", "sigma"))
        )
    return Stars(ids, flags, scalars, xp, extra, seen)


def read_stars(
    source: Any,
    columns: Mapping[str, str] | None = None,
    labels: bool | Collection[str] = True,
    all_orders: bool = False,
    declared: Collection[Quantity] = (),
) -> Stars:
    """Read a catalogue. Every input row becomes one row, in order; faults set a flag, never drop a row.

    source   anything that `read_columns` takes
    labels   False leaves label columns unread: they then cannot flag or refuse a table that only has them along;
             or the names of those that are read
    columns  {quantity: column name} where the file's names are not in the table of quantities,
             e.g. {"teff": "TEFF", "teff_error": "TEFF_ERR", "source_id": "KIC"}
    declared quantities to be read beside those of quantities.py
    all_orders  also the XP coefficients that the archive calls irrelevant, each of which is below its noise

    Raises ValueError for a table that cannot be meant: no id column, ids that lost digits, no
    recognised measurement, a unit that does not convert, unknown names in `columns`.
    """
    table = read_columns(source)
    table.add_lower_case_names()
    renamed = dict(columns or {})
    quantities = QUANTITIES | {q.name: q for q in declared}
    _check_mapping(table, renamed, quantities)
    source_id, flags = ids_and_flags(table, renamed)
    scalars = {}
    for name, quantity in quantities.items():
        if quantity.kind == "label" and labels is not True and name not in (labels or ()):
            continue
        scalar = _read_scalar(table, quantity, renamed, flags)
        if scalar is not None:
            scalars[name] = scalar
    xp, seen = read_xp(table, all_orders), _read_view(table)
    if not scalars and not xp and seen is None:
        raise ValueError(
            f"{table.origin}: no measurement found in the columns {sorted(table.data)[:12]}; expected XP coefficients "
            "(bp_coefficients, rp_coefficients), magnitudes, parallax, or light_curve_value; name yours with --columns"
        )
    _check_xp(xp, flags)
    stars = Stars(source_id, flags, scalars, xp, _extra(table), seen)
    _complete_g(stars)
    _flag_missing(stars, quantities)
    return stars


def _check_mapping(table: Columns, renamed: dict[str, str], quantities: Collection[str]) -> None:
    known = {"source_id"} | set(quantities) | {f"{name}_error" for name in quantities}
    if unknown := sorted(set(renamed) - known):
        raise ValueError(f"--columns: unknown quantities {unknown}; known are {sorted(known)}")
    if absent := sorted(column for column in renamed.values() if column not in table):
        raise ValueError(
            f"{table.origin}: no column {absent}; the table has {sorted(table.data)[:20]}"
        )


def _read_scalar(
    table: Columns, quantity: Quantity, renamed: dict[str, str], flags: np.ndarray
) -> Scalar | None:
    column = renamed.get(quantity.name) or next((c for c in quantity.columns if c in table), None)
    if column is None:
        return None
    value = _in_unit(table, column, quantity)
    error = renamed.get(f"{quantity.name}_error") or next(
        (c for c in quantity.error_columns if c in table), None
    )
    ratio = next((c for c in quantity.snr_columns if c in table), None)
    if error is not None:
        sigma = _in_unit(table, error, quantity)
    elif ratio is not None:
        signal_to_noise = table.numbers(ratio)
        sigma = MAG_PER_RELATIVE_FLUX / np.where(signal_to_noise > 0, signal_to_noise, np.nan)
    else:
        sigma = np.full(len(value), np.nan)
    low, high = quantity.valid
    impossible = ~np.isnan(value) & ~((value >= low) & (value <= high))
    bad_sigma = ~np.isnan(sigma) & ~((sigma > 0) & np.isfinite(sigma) & (sigma < 1e8))
    flags[impossible | (bad_sigma & ~np.isnan(value))] |= status.BIT["bad_value"]
    return Scalar(
        np.where(impossible, np.nan, value), np.where(bad_sigma | impossible, np.nan, sigma)
    )


def _in_unit(table: Columns, name: str, quantity: Quantity) -> np.ndarray:
    """Values converted to the quantity's unit where the file states another."""
    values = table.numbers(name)
    unit = table.unit.get(name)
    if unit is None or unit == u.dimensionless_unscaled:
        return values
    physical = getattr(
        unit, "physical_unit", None
    )  # logarithmic units such as mag(AB) or dex(cm s-2)
    if physical is not None or (unit in (u.mag, u.dex) and quantity.unit in ("mag", "dex")):
        return values
    wanted = u.Unit(quantity.unit.replace("Msun", "solMass"))
    if not unit.is_equivalent(wanted):
        raise ValueError(
            f"{table.origin}: column {name} is in {unit}, expected {quantity.unit or 'a plain number'}"
        )
    return values * unit.to(wanted)


def _check_xp(xp: dict[str, XPCoefficients], flags: np.ndarray) -> None:
    for band in xp.values():
        impossible = np.isinf(band.value) | (np.abs(band.value) > 1e12)
        bad_sigma = ~np.isnan(band.sigma) & ~((band.sigma > 0) & np.isfinite(band.sigma))
        observed = ~np.isnan(band.value)
        flags[(impossible | (bad_sigma & observed)).any(1)] |= status.BIT["bad_value"]
        band.value[impossible] = np.nan
        band.sigma[bad_sigma | impossible] = np.nan


def _complete_g(stars: Stars) -> None:
    """Fill in G from XP where it is missing; XP that then has no G cannot be normalised and is dropped."""
    if not stars.xp:
        return
    n = len(stars)
    g = stars.scalars.get("g") or Scalar(np.full(n, np.nan), np.full(n, np.nan))
    derived = synthetic_magnitudes(stars.xp)["g"]
    fill = np.isnan(g.value) & np.isfinite(derived)
    stars.scalars["g"] = Scalar(np.where(fill, derived, g.value), np.where(fill, np.nan, g.sigma))
    stars.flags[fill] |= status.BIT["g_from_xp"]
    has_xp = np.any([np.isfinite(x.value).any(1) for x in stars.xp.values()], axis=0)
    lost = has_xp & np.isnan(stars.scalars["g"].value)
    stars.flags[lost] |= status.BIT["no_g"]
    for band in stars.xp.values():
        band.value[lost] = np.nan


def _flag_missing(stars: Stars, quantities: Mapping[str, Quantity]) -> None:
    n = len(stars)
    has_xp, has_error, has_scalar = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
    for band in stars.xp.values():
        observed = np.isfinite(band.value)
        has_xp |= observed.any(1)
        has_error |= (observed & np.isfinite(band.sigma)).any(1)
    for name, scalar in stars.scalars.items():
        if quantities[name].kind != "label":
            has_scalar |= np.isfinite(scalar.value)
    stars.flags[~has_xp] |= status.BIT["no_xp"]
    stars.flags[has_xp & ~has_error] |= status.BIT["no_xp_error"]
    stars.flags[~has_xp & ~has_scalar] |= status.BIT["no_data"]
    if stars.light_curve is not None:
        _flag_light_curves(stars)


def _read_view(table: Columns) -> LightCurveView | None:
    """Columns light_curve_value and light_curve_sigma: the view of a light curve, as `multistar view` writes it."""
    if "light_curve_value" not in table:
        return None
    value, sigma = (np.asarray(table[f"light_curve_{f}"], np.float32) for f in ("value", "sigma"))
    if value.shape != sigma.shape or value.ndim != 2 or value.shape[1] != N_SLOTS:
        raise ValueError(
            f"{table.origin}: light_curve_value has shape {value.shape}, light_curve_sigma {sigma.shape}; expected "
            f"(n, {N_SLOTS}) both. Make them anew with this version: multistar view"
        )
    return LightCurveView(value, sigma)


def _flag_light_curves(stars: Stars) -> None:
    assert stars.light_curve is not None
    has = np.isfinite(stars.light_curve.value).any(1)
    stars.flags[~has] |= status.BIT["no_light_curve"]
    stars.flags[has] &= ~status.BIT["no_data"]


def _extra(table: Columns) -> dict[str, np.ndarray]:
    """Numeric columns such as ra, dec and mock truth, for checks and maps; never an input of the model."""
    wanted = ("ra", "dec", "l", "b")
    return {
        k: v
        for k, v in table.data.items()
        if v.ndim == 1 and v.dtype.kind == "f" and (k in wanted or k.startswith("true_"))
    }
