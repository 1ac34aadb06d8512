"""Stars: everything measured about a list of stars, in physical units, one row per input row."""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from multistar import status
from multistar.io.ids import ROW_NUMBER, ids_and_flags
from multistar.io.tables import Columns, read_columns
from multistar.modalities import MODALITIES, LightCurve
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.features import LightCurveFeatures, compute_features
from multistar.modalities.light_curve.joining import join, match
from multistar.modalities.modality import Blocks, ReadOptions
from multistar.modalities.scalars.read import Scalar
from multistar.quantities import QUANTITIES, Quantity

Origin = Literal["sky", "mock"]
MOCK_KEYS = {"multistar", "mock"}  # metadata that `multistar mock` writes: version and settings
PLACES = ("ra", "dec", "l", "b")  # columns that are carried along, beside a mock star's truth


@dataclass(frozen=True, repr=False)
class Stars:
    """Stars and what is known of them. Nothing changes one that exists; methods return another.

    Attributes
    ----------
    source_id : (n,) int64 ndarray
        -1 where it is missing.
    flags : (n,) uint16 ndarray
        Bits of `status.BIT` that reading the table set.
    blocks : mapping
        Modality -> what it measured, in the form of its room: `scalars`, `xp` and `light_curve`
        below.
    extra : mapping of str to (n,) ndarray
        Columns that are carried along for checks and maps (places, a mock star's truth); never an
        input of a model.
    origin : {"sky", "mock"}
        Whether the stars are real. The table's own metadata or the caller says "mock"; no column
        name does.
    """

    source_id: np.ndarray
    flags: np.ndarray
    blocks: Blocks = field(default_factory=dict)
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    origin: Origin = "sky"

    def __post_init__(self):
        if self.origin not in ("sky", "mock"):
            raise ValueError(f'origin must be "sky" or "mock", got {self.origin!r}')

    def __len__(self) -> int:
        return len(self.source_id)

    def __repr__(self) -> str:
        bands = {band: x.value.shape[1] for band, x in self.xp.items()}
        others = [
            name.replace("_", " ") + "s" for name in self.blocks if name not in ("scalars", "xp")
        ]
        words = "".join(f", {name}" for name in others)
        return f"Stars({len(self)} stars: {', '.join(self.scalars)}; XP orders {bands}{words})"

    @property
    def scalars(self) -> Mapping[str, Scalar]:
        """Quantity -> its values; empty if there are none."""
        return self.blocks.get("scalars", {})

    @property
    def xp(self) -> Mapping[str, XPCoefficients]:
        """Band ("bp", "rp") -> its coefficients; empty if there are none."""
        return self.blocks.get("xp", {})

    @property
    def light_curve(self) -> LightCurveFeatures | None:
        """What a model sees of the light curves; None if none were given."""
        return self.blocks.get("light_curve")

    def select(self, rows: Any) -> Self:
        """The given rows: a slice, indices or a boolean mask."""
        blocks = {name: MODALITIES[name].select(b, rows) for name, b in self.blocks.items()}
        extra = {name: values[rows] for name, values in self.extra.items()}
        return dataclasses.replace(
            self,
            source_id=self.source_id[rows],
            flags=self.flags[rows],
            blocks=blocks,
            extra=extra,
        )

    def with_flags(self, flags: np.ndarray) -> Self:
        """The same stars with other flags (n,)."""
        return dataclasses.replace(self, flags=flags)

    def with_origin(self, origin: Origin) -> Self:
        """The same stars, said to be real ("sky") or simulated ("mock")."""
        return dataclasses.replace(self, origin=origin)

    def with_blocks(self, **blocks: Any) -> Self:
        """The same stars with these blocks in place of their own, or beside them.

        None takes one away.

        Examples
        --------
        >>> photometry = stars.with_blocks(xp=None)  # doctest: +SKIP
        """
        kept = dict(self.blocks) | blocks
        for name, block in blocks.items():
            if block is None or (isinstance(block, dict) and not block):
                del kept[name]
        return dataclasses.replace(self, blocks=kept)

    def with_light_curves(self, curves: LightCurves, quiet: bool = True) -> Self:
        """The same stars with their light curves, found by source_id; flags say who has none."""
        matched = match(curves, self.source_id)
        features = compute_features(matched, quiet)
        flags = self.flags | (matched.flags & status.BIT["bad_value"])
        LightCurve.flag_missing(features, flags)
        flags[LightCurve.known(features)] &= ~status.BIT["no_data"]
        return self.with_blocks(light_curve=features).with_flags(flags)

    @classmethod
    def of_light_curves(cls, curves: LightCurves, quiet: bool = True) -> Self:
        """Stars of which nothing but a light curve is known, one per id."""
        joined = join(curves)
        flags = joined.flags | status.BIT["no_xp"]
        features = compute_features(joined, quiet)
        LightCurve.flag_missing(features, flags)
        flags[LightCurve.known(features)] &= ~status.BIT["no_data"]
        return cls(joined.source_id, flags, {"light_curve": features})


def concatenate_stars(parts: list[Stars]) -> Stars:
    """Put stars of several tables one after the other; what a part lacks is not observed there.

    Raises
    ------
    ValueError
        If XP bands have other numbers of orders, or real and mock stars are mixed.
    """
    if len(parts) == 1:
        return parts[0]
    origins = {part.origin for part in parts}
    if len(origins) > 1:
        raise ValueError("tables of real and of mock stars cannot be joined; keep them apart")
    lengths, blocks = [len(part) for part in parts], {}
    for name, modality in MODALITIES.items():
        own = [part.blocks.get(name) for part in parts]
        if any(block is not None for block in own):
            blocks[name] = modality.concatenate(own, lengths)
    shared = [key for key in parts[0].extra if all(key in part.extra for part in parts)]
    return Stars(
        np.concatenate([part.source_id for part in parts]),
        np.concatenate([part.flags for part in parts]),
        blocks,
        {key: np.concatenate([part.extra[key] for part in parts]) for key in shared},
        parts[0].origin,
    )


def read_stars(
    source: Any,
    columns: Mapping[str, str] | None = None,
    labels: bool | Collection[str] = True,
    all_orders: bool = False,
    declared: Collection[Quantity] = (),
    origin: Origin | None = None,
    measured: bool = True,
) -> Stars:
    """Read a catalogue. Every input row becomes one row, in order.

    Faults set a flag, never drop a row.

    Parameters
    ----------
    source : path, DataFrame, astropy or Arrow table, dict
        Anything that `read_columns` takes.
    columns : mapping of str to str, optional
        Quantity -> column name where the file's names are not in the table of quantities, e.g.
        {"teff": "TEFF", "teff_error": "TEFF_ERR", "source_id": "KIC"}.
    labels : bool or collection of str
        False leaves label columns unread: they then cannot flag or refuse a table that only has
        them along; or the names of those that are read.
    all_orders : bool
        Also the XP coefficients that the archive calls irrelevant, each of which is below its
        noise.
    declared : collection of Quantity
        Quantities to be read beside those of quantities.py.
    origin : {"sky", "mock"}, optional
        Whether the stars are real. By default the table's own metadata says so, which `multistar
        mock` writes; stars of a table that says nothing are real.
    measured : bool
        False lets a table without any measurement pass, whose stars get their light curves apart.

    Raises
    ------
    ValueError
        For a table that cannot be meant: no id column, ids that lost digits, no recognised
        measurement, a unit that does not convert, unknown names in `columns`.
    """
    table = read_columns(source)
    table.add_lower_case_names()
    quantities = QUANTITIES | {q.name: q for q in declared}
    options = ReadOptions(dict(columns or {}), labels, all_orders, quantities)
    _check_mapping(table, options)
    source_id, flags = ids_and_flags(table, dict(options.columns))
    blocks = {}
    for name, modality in MODALITIES.items():
        block = modality.read(table, options, flags)
        if block is not None:
            blocks[name] = block
    if measured and not blocks:
        raise ValueError(_say_what_is_measured(table))
    if origin is None:
        origin = "mock" if set(table.metadata) >= MOCK_KEYS else "sky"
    for modality in MODALITIES.values():
        modality.complete(blocks, flags)
        if origin == "sky":
            modality.correct(blocks)
    _flag_missing(blocks, flags)
    return Stars(source_id, flags, blocks, _extra_columns(table), origin)


def _say_what_is_measured(table: Columns) -> str:
    return (
        f"{table.origin}: no measurement found in the columns {sorted(table.data)[:12]}; "
        "expected XP coefficients (bp_coefficients, rp_coefficients), magnitudes, parallax, or "
        "light_curve_value; name yours with --columns"
    )


def _check_mapping(table: Columns, options: ReadOptions) -> None:
    quantities = options.quantities
    known = {"source_id"} | set(quantities) | {f"{name}_error" for name in quantities}
    if unknown := sorted(set(options.columns) - known):
        raise ValueError(f"--columns: unknown quantities {unknown}; known are {sorted(known)}")
    columns = {c for q, c in options.columns.items() if (q, c) != ("source_id", ROW_NUMBER)}
    if absent := sorted(column for column in columns if column not in table):
        raise ValueError(f"{table.origin}: no column {absent}; {_name_like(absent[0], table)}")


def _name_like(name: str, table: Columns) -> str:
    """The columns that may be meant, or if none is like it the first ones."""
    by_lower = {column.lower(): column for column in table.data}
    close = difflib.get_close_matches(name.lower(), by_lower, 3, 0.6)
    if close:
        return f"did you mean {' or '.join(by_lower[lower] for lower in close)}?"
    return f"the table has {sorted(table.data)[:20]}"


def _flag_missing(blocks: Blocks, flags: np.ndarray) -> None:
    has_data = np.zeros(len(flags), bool)
    for name, modality in MODALITIES.items():
        block = blocks.get(name)
        modality.flag_missing(block, flags)
        if block is not None:
            has_data |= modality.known(block)
    flags[~has_data] |= status.BIT["no_data"]


def _extra_columns(table: Columns) -> dict[str, np.ndarray]:
    """Numeric columns such as ra, dec and mock truth.

    Integers are numbers like others: a CSV does not say what a column holds, and whole numbers in
    one part of a long file may be followed by others.
    """
    extra = {}
    for name, values in table.data.items():
        is_number = values.ndim == 1 and values.dtype.kind in "iuf"
        if is_number and (name in PLACES or name.startswith("true_")):
            table.used[name] = "carried along"
            extra[name] = values if values.dtype.kind == "f" else values.astype(np.float64)
    return extra
