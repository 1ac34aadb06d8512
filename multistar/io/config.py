"""Dictionaries (TOML, JSON) -> frozen dataclasses; unknown keys and wrong types are errors."""

import dataclasses
import types
import typing


def from_table(cls: type, table: dict, where: str = ""):
    """Make a config dataclass from a table of TOML or JSON.

    Parameters
    ----------
    cls : type
        A dataclass; its fields may be dataclasses again, which are tables within the table.
    table : dict
        Its keys are names of fields.
    where : str
        Name of the table, for messages.

    Returns
    -------
    cls
        An instance; an integer stands for a float where one is wanted.

    Raises
    ------
    ValueError
        Names the key that is unknown or missing, or whose value has the wrong type.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Sizes:
    ...     width: int
    >>> from_table(Sizes, {"width": 8})
    Sizes(width=8)
    """
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table ([{where}]), got {table!r}")
    hints = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    unknown = set(table) - set(hints)
    if unknown:
        raise ValueError(
            f"unknown key(s) {_full_names(unknown, prefix)}; known are {_full_names(hints, prefix)}"
        )
    missing = _required_fields(cls) - set(table)
    if missing:
        raise ValueError(f"missing key(s) {_full_names(missing, prefix)}")
    values = {}
    for key, value in table.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            values[key] = from_table(typing.cast(type, hint), value, prefix + key)
        else:
            values[key] = _check_type(hint, value, prefix + key)
    return cls(**values)


def _full_names(keys: typing.Iterable[str], prefix: str) -> list[str]:
    return [prefix + key for key in sorted(keys)]


def _required_fields(cls: type) -> set[str]:
    required = set()
    for field in dataclasses.fields(cls):
        if field.default is field.default_factory is dataclasses.MISSING:
            required.add(field.name)
    return required


def _check_type(hint, value, name: str):
    """The value, a whole number made a float where one is wanted."""
    plain = typing.get_origin(hint) or hint
    if plain is float and type(value) is int:
        value = float(value)
    if isinstance(plain, types.GenericAlias) or type(value) is not plain:
        raise ValueError(f"{name} must be a {plain.__name__}, got {value!r}")
    if isinstance(value, list):
        item_type = typing.get_args(hint)[0]
        if not all(type(item) is item_type for item in value):
            raise ValueError(f"{name} must be a list of {item_type.__name__}, got {value!r}")
    return value
