"""What was read of a table, and what was not: said before work begins, and by `describe`."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from multistar.io.columns import Columns
from multistar.modalities import MODALITIES
from multistar.quantities import QUANTITIES, Quantity
from multistar.stars import Stars

# Columns of archives that say nothing that a model could read, nor are mistaken for what it reads.
SILENT = ("solution_id", "random_index", "designation", "ref_epoch", "index")
MOST_NAMED = 12  # columns that were not used; of more, only the number is said
PLACES = (("ra", "dec"), ("l", "b"))
CLOSE = 0.75  # similarity of names from which on one is suggested for the other


@dataclass(frozen=True)
class ReadQuantity:
    """One quantity that was found.

    Attributes
    ----------
    name : str
        Of the quantity, or the words of another modality, such as "XP bp" or "light curve".
    columns : tuple of str
        Where it was found; empty for what was derived from others.
    error_columns : tuple of str
        Where its errors were found; empty if it has none.
    unit : str
        In which it is used.
    stated : bool
        Whether the table states a unit, from which it was converted if it is another one.
    stars, with_error : int
        Stars that have it, and those that have it with an error.
    """

    name: str
    columns: tuple[str, ...]
    error_columns: tuple[str, ...]
    unit: str
    stated: bool
    stars: int
    with_error: int

    def __str__(self) -> str:
        source = _shorten(self.columns) or "derived"
        errors = f"errors {_shorten(self.error_columns)}" if self.error_columns else "no errors"
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name:<12} {self.stars:>9,}  {source}{unit}, {errors}"


@dataclass(frozen=True)
class Reading:
    """What was read of a table.

    Attributes
    ----------
    origin : str
        Path or kind of the table.
    rows : int
    stars_are : str
        "sky" or "mock".
    quantities : tuple of ReadQuantity
    unread : tuple of str
        Quantities that were found, but that the model cannot read.
    labels : tuple of str
        Columns of labels that were not read, since no one asked for them.
    unused : dict of str to str
        Column that was not used -> the known name that is like it, "" if there is none.
    corrected : tuple of str
        Sentences on measurements of real stars that were corrected.
    doubts : tuple of str
        Sentences on quantities that are not what everything else says, over all stars.
    place : tuple of str
        Columns that say where a star stands on the sky.
    """

    origin: str
    rows: int
    stars_are: str
    quantities: tuple[ReadQuantity, ...]
    unread: tuple[str, ...]
    labels: tuple[str, ...]
    unused: dict[str, str]
    corrected: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    place: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind = "mock stars" if self.stars_are == "mock" else "stars"
        lines = [f"{self.origin}: {self.rows:,} {kind}; read of how many, from which columns:"]
        lines += [f"  {quantity}" for quantity in self.quantities]
        assumed = [q.name for q in self.quantities if q.unit and q.columns and not q.stated]
        if assumed:
            lines.append(f"  units are not stated, and assumed, of: {', '.join(assumed)}")
        if self.unread:
            lines.append(f"  this model cannot read: {', '.join(self.unread)}")
        if self.labels:
            lines.append(f"  labels of the table, not evidence: {', '.join(self.labels)}")
        if self.place:
            place = ", ".join(self.place)
            lines.append(f"  for a dust map alone (--dust; disc needs no file): {place}")
        if self.unused:
            shown = [f"{name} (did you mean {like}?)" for name, like in self.unused.items() if like]
            others = [name for name, like in self.unused.items() if not like]
            shown += others[: max(0, MOST_NAMED - len(shown))]
            hidden = len(self.unused) - len(shown)
            more = f" and {hidden} more" if hidden else ""
            lines.append(f"  not used: {', '.join(shown)}{more}")
        lines += [f"  corrected: {sentence}" for sentence in self.corrected]
        lines += [f"  DOUBTFUL  {doubt}" for doubt in self.doubts]
        return "\n".join(lines)


def describe_reading(
    table: Columns,
    stars: Stars,
    readable: Collection[str],
    declared: Sequence[Quantity] = (),
) -> Reading:
    """Say what `read_stars` made of a table.

    Parameters
    ----------
    table : Columns
        From which the stars were read.
    stars : Stars
    readable : collection of str
        Quantities and modalities, by name, that the model reads, and labels that are wanted.
    declared : sequence of Quantity
        Quantities that were read beside those of quantities.py.

    Returns
    -------
    Reading
    """
    known = QUANTITIES | {quantity.name: quantity for quantity in declared}
    found: dict[str, tuple[list[str], list[str]]] = {}
    for column, use in table.used.items():
        names = use.removeprefix("error of ")
        place = 1 if names != use else 0
        for name in names.split(", "):
            found.setdefault(name, ([], []))[place].append(table.aliases.get(column, column))
    quantities = []
    unread = []
    corrected = []
    for name, modality in MODALITIES.items():
        block = stars.blocks.get(name)
        if stars.origin == "sky":
            corrected += modality.describe_correction(stars.blocks)
        counts = {} if block is None else modality.count(block)
        for what, (has_value, has_error) in counts.items():
            columns, errors = found.get(what, ([], []))
            unit = known[what].unit if what in known else ""
            stated = all(column in table.unit for column in columns)
            number = int(has_value.sum()), int(has_error.sum())
            read = ReadQuantity(what, tuple(columns), tuple(errors), unit, stated, *number)
            quantities.append(read)
            if read.stars and not {what, name} & set(readable):
                unread.append(what)
    unused = _find_unused(table, list(known.values()))
    of_labels = set()
    for quantity in known.values():
        if quantity.kind == "label":
            of_labels |= {*quantity.columns, *quantity.error_columns}
    labels = [column for column in unused if column in of_labels]
    return Reading(
        table.origin,
        len(stars),
        stars.origin,
        tuple(quantities),
        tuple(unread),
        tuple(labels),
        {column: like for column, like in unused.items() if column not in of_labels},
        tuple(corrected),
        place=next((pair for pair in PLACES if set(pair) <= set(stars.extra)), ()),
    )


def _find_unused(table: Columns, quantities: Collection[Quantity]) -> dict[str, str]:
    """Column that no reader took -> the most similar name that one would have."""
    names: list[str] = ["bp_coefficients", "rp_coefficients", "source_id"]
    for quantity in quantities:
        names += [*quantity.columns, *quantity.error_columns]
    by_lower = {name.lower(): name for name in names}
    used = {name.lower() for name in table.used}
    unused = {}
    for column in table.data:
        lower = column.lower()
        if lower in used or lower in SILENT or column in table.aliases:
            continue
        close = difflib.get_close_matches(lower, by_lower, 1, CLOSE)
        suggestion = by_lower[close[0]] if close else ""
        # what the same name was already found under is no better name for this one
        unused[column] = "" if suggestion in table.used else suggestion
    return unused


def _shorten(columns: Sequence[str]) -> str:
    """The names, or of many the first and the last."""
    if len(columns) > 3:
        return f"{columns[0]} ... {columns[-1]}"
    return ", ".join(columns)


def readable_names(vocabulary: Any, labels: Collection[str]) -> set[str]:
    """Return what a model of a vocabulary reads: quantities by name, and whole modalities."""
    others = [modality.name for modality in vocabulary.modalities if modality.name != "scalars"]
    return {*vocabulary.measurements, *labels, *others}
