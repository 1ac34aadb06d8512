"""What is asked of a fine-tuning: which columns of a table are targets, classes, new inputs, labels to be read."""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multistar.io.tables import Columns, read_columns
from multistar.model.vocabulary import Vocabulary
from multistar.quantities import MEASUREMENTS, QUANTITIES, Quantity, declared, quantity_from
from multistar.stars import Stars, read_stars

MODES = ("probe", "head", "lora", "full", "trees")
READS_NEW = ("lora", "full", "trees")  # modes that can learn new inputs: all but a frozen encoder's
MOST_CLASSES = 100  # more are hardly classes, but numbers or names
WORDS = ("linear", "log", "class", "magnitude")  # after a colon


@dataclass(frozen=True)
class Request:
    """targets: numbers to be predicted; classes: name -> the classes; inputs: quantities the base cannot read;
    given: labels of the base that are read, as if measured."""

    mode: str
    targets: tuple[Quantity, ...]
    classes: dict[str, tuple[str, ...]]
    inputs: tuple[Quantity, ...] = ()
    given: tuple[str, ...] = ()

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, got {self.mode!r}")
        if not self.targets and not self.classes:
            raise ValueError("no labels: name the columns to be learnt, e.g. --labels mg_fe,vsini")

    @property
    def names(self) -> tuple[str, ...]:
        """What comes out: numbers, then classes."""
        return (*(q.name for q in self.targets), *self.classes)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What a table is read with, beside quantities.py."""
        return tuple(q for q in (*self.targets, *self.inputs) if q != QUANTITIES.get(q.name))

    def as_json(self) -> dict:
        """Turn the request into what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, row: dict) -> "Request":
        """Read what `as_json` gave."""
        targets, inputs = (tuple(map(quantity_from, row[key])) for key in ("targets", "inputs"))
        classes = {name: tuple(words) for name, words in row["classes"].items()}
        return cls(row["mode"], targets, classes, inputs, tuple(row["given"]))


def read_labelled(
    vocabulary: Vocabulary,
    source: Any,
    labels: Collection[str | Quantity],
    inputs: Collection[str | Quantity] = (),
    mode: str = "head",
    columns: Mapping[str, str] | None = None,
    measured: bool = True,
) -> tuple[Request, Stars, dict[str, np.ndarray]]:
    """The request that words mean for a table, its stars, and for each class label the codes (n,), -1 = missing.

    labels  names of quantities.py, or of columns, or Quantity; "vsini:log" is learnt in its logarithm, "type:class" is
            a class whatever its column holds (text and true/false are classes anyway)
    inputs  labels of the base that are to be read ("teff"), and columns that it does not know ("c_n", "u:magnitude").
            Measurements of quantities.py that it does not know are found in the table by themselves.
    measured  whether the table must hold a measurement; light curves may come apart

    Raises ValueError for what cannot be meant: unknown columns and words, a label without any value or of one class.
    """
    if isinstance(source, Stars):
        table, renamed = None, {}
    else:
        table, renamed = read_columns(source), dict(columns or {})
        table.add_lower_case_names()
    if not len(source if table is None else table):
        raise ValueError(f"{_origin(table)}: the table is empty")
    targets, classes = _targets(table, labels, renamed, source)
    new, given = _inputs(vocabulary, table, inputs, renamed, source)
    request = Request(mode, targets, dict.fromkeys(classes, ()), new, given)
    if twice := sorted({n for n in request.names if request.names.count(n) > 1 or n in given}):
        raise ValueError(f"{twice}: named twice, or both as a label to be learnt and as an input")
    codes = {name: _codes(table, name, renamed.pop(name, name)) for name in classes}
    stars = source
    if table is not None:
        stars = read_stars(table, renamed, declared=request.quantities, measured=measured)
    found = [
        QUANTITIES[n]
        for n in MEASUREMENTS
        if n not in vocabulary.measurements and n in stars.scalars
    ]
    found = [q for q in found if np.isfinite(stars.scalars[q.name].value).any()]
    if mode in READS_NEW:
        new = tuple({q.name: q for q in (*found, *new)}.values())
    elif new:
        raise ValueError(
            f"{[q.name for q in new]}: a frozen encoder cannot learn new inputs; use mode lora, full or trees"
        )
    empty = [
        q.name
        for q in targets
        if q.name not in stars.scalars or np.isnan(stars.scalars[q.name].value).all()
    ]
    if empty:
        raise ValueError(f"{_origin(table)}: no star has a value of {empty} in the valid range")
    classes = {name: words for name, (words, _) in codes.items()}
    request = dataclasses.replace(request, inputs=new, classes=classes)
    _check_names(vocabulary, request)
    return request, stars, {name: code for name, (_, code) in codes.items()}


def _check_names(vocabulary: Vocabulary, request: Request) -> None:
    """ValueError for a label whose columns would take the place of others in what predict gives."""
    taken = {"source_id", "status", "embedding", "covariance", "consistency"}
    numbers = {*vocabulary.labels, *(q.name for q in request.targets)}
    taken |= {label + end for label in numbers for end in ("_lower", "_upper", "_samples")}
    given = [
        *request.names,
        *(f"{name}_{word}" for name, words in request.classes.items() for word in words),
    ]
    if wrong := sorted({n for n in given if n in taken or given.count(n) > 1}):
        raise ValueError(f"{wrong}: predict has columns of this name already; give yours another")


def _origin(table: Columns | None) -> str:
    return table.origin if table is not None else "Stars"


def _has(table: Columns | None, source: Any, column: str) -> bool:
    return column in (source.scalars if table is None else table)


def _targets(
    table: Columns | None,
    labels: Collection[str | Quantity],
    renamed: Mapping[str, str],
    source: Any,
) -> tuple[tuple[Quantity, ...], list[str]]:
    targets, classes = [], []
    for label in labels:
        name, words = _split(label)
        column = renamed.get(name, name)
        if isinstance(label, Quantity):
            targets.append(label)
        elif name in MEASUREMENTS:
            raise ValueError(f"{name} is measured, no label to be learnt")
        elif measured := _measured_in(column):
            raise ValueError(
                f"{name}: the column {column} holds {measured}, which the model reads; it is "
                "measured, no label to be learnt"
            )
        elif "magnitude" in words:
            raise ValueError(f"{label!r}: a label to be learnt is no magnitude; inputs may be")
        elif name in QUANTITIES and "class" not in words:
            if words:
                raise ValueError(
                    f"{label!r}: how {name} is learnt is fixed ({QUANTITIES[name].transform}); leave {words} out"
                )
            targets.append(QUANTITIES[name])
        elif not _has(table, source, column):
            raise _unknown(table, source, column)
        elif table is not None and ("class" in words or table[column].dtype.kind in "OUSb"):
            classes.append(name)
        else:
            unit = str(table.unit.get(column, "")) if table is not None else ""
            targets.append(declared(name, "label", unit, "log" if "log" in words else "linear"))
    return tuple(targets), classes


def _measured_in(column: str) -> str | None:
    """The measurement, or its error, that a column is read as; None if it is none."""
    for name in MEASUREMENTS:
        quantity = QUANTITIES[name]
        if column in quantity.columns:
            return name
        if column in (*quantity.error_columns, *quantity.snr_columns):
            return f"the error of {name}"
    return None


def _inputs(
    vocabulary: Vocabulary,
    table: Columns | None,
    inputs: Collection[str | Quantity],
    renamed: Mapping[str, str],
    source: Any,
) -> tuple[tuple[Quantity, ...], tuple[str, ...]]:
    new, given = [], []
    for wanted in inputs:
        name, words = _split(wanted)
        column = renamed.get(name, name)
        if isinstance(wanted, Quantity):
            new.append(wanted)
        elif name in vocabulary.labels:
            given.append(name)
        elif name in vocabulary.measurements:
            continue  # read anyway
        elif name in QUANTITIES:
            new.append(
                QUANTITIES[name]
                if name in MEASUREMENTS
                else dataclasses.replace(QUANTITIES[name], kind="other")
            )
        elif not _has(table, source, column):
            raise _unknown(table, source, column)
        else:
            unit = str(table.unit.get(column, "")) if table is not None else ""
            kind = "magnitude" if "magnitude" in words else "other"
            new.append(declared(name, kind, unit, "log" if "log" in words else "linear"))
    return tuple(new), tuple(given)


def _unknown(table: Columns | None, source: Any, column: str) -> ValueError:
    has = sorted(source.scalars if table is None else table.data)
    by_lower = {name.lower(): name for name in has}
    close = difflib.get_close_matches(column.lower(), by_lower, 3, 0.6)
    meant = ", ".join(by_lower[name] for name in close)
    advice = f"did you mean {meant}?" if close else f"it has {', '.join(has[:20])} ..."
    return ValueError(f"{_origin(table)}: no column {column!r}; {advice} Name yours with --columns")


def _split(word: str | Quantity) -> tuple[str, list[str]]:
    if isinstance(word, Quantity):
        return word.name, []
    name, *words = word.split(":")
    if unknown := sorted(set(words) - set(WORDS)):
        raise ValueError(f"{word!r}: after the colon may stand one of {WORDS}, not {unknown}")
    return name, words


def _codes(table: Columns | None, name: str, column: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes in the order of the alphabet, and their numbers (n,), -1 where nothing stands."""
    assert table is not None
    if table[column].ndim != 1:
        raise ValueError(f"{table.origin}: column {column} must hold one class per star")
    series = pd.Series(table[column])
    plain = [x.decode() if isinstance(x, bytes) else x for x in series]
    if series.dtype.kind == "f":  # integers with gaps
        plain = [int(x) if x == x and float(x).is_integer() else x for x in plain]
    text = pd.Series(plain, dtype=object)
    missing = text.isna() | text.astype(str).str.strip().str.lower().isin(
        ["", "nan", "none", "null", "--", "<na>"]
    )
    words = text.astype(str).str.strip().to_numpy(object)
    classes = tuple(sorted(set(words[~missing])))
    if not 2 <= len(classes) <= min(MOST_CLASSES, (~missing).sum() // 2):
        raise ValueError(
            f"{table.origin}: {name} has {len(classes)} classes {list(classes[:5])} for {(~missing).sum()} stars; "
            f"expected 2 to {MOST_CLASSES}, and two stars of each at the least"
            + (
                "; numbers written as text are to be read as numbers"
                if series.dtype == object
                else ""
            )
        )
    number = {word: i for i, word in enumerate(classes)}
    return classes, np.array(
        [-1 if gone else number[w] for w, gone in zip(words, missing, strict=True)], np.int64
    )
