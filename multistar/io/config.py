"""Dictionaries (TOML, JSON) -> frozen dataclasses; unknown keys and wrong types are errors."""

import dataclasses
import types
import typing


def from_table(cls: type, table: dict, where: str = ""):
    """A frozen config dataclass from a TOML table; ValueError names the key that is wrong."""
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table ([{where}]), got {table!r}")
    hints = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    if unknown := sorted(set(table) - set(hints)):
        raise ValueError(
            f"unknown key(s) {[prefix + k for k in unknown]}; known are {sorted(prefix + k for k in hints)}"
        )
    required = {
        f.name
        for f in dataclasses.fields(cls)
        if f.default is f.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(table)):
        raise ValueError(f"missing key(s) {[prefix + k for k in missing]}")
    values = {}
    for key, value in table.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            values[key] = from_table(typing.cast(type, hint), value, prefix + key)
        else:
            values[key] = _checked(hint, value, prefix + key)
    return cls(**values)


def _checked(hint, value, name: str):
    plain = typing.get_origin(hint) or hint
    if plain is float and type(value) is int:
        value = float(value)
    if isinstance(plain, types.GenericAlias) or type(value) is not plain:
        raise ValueError(f"{name} must be a {plain.__name__}, got {value!r}")
    if isinstance(value, list) and not all(type(x) is typing.get_args(hint)[0] for x in value):
        raise ValueError(
            f"{name} must be a list of {typing.get_args(hint)[0].__name__}, got {value!r}"
        )
    return value
