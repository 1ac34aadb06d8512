"""Arguments that commands share, checked before torch and others, which take seconds, are loaded."""

import argparse

from multistar._compat import check_faiss
from multistar.io.files import refuse_existing, require_path
from multistar.io.folders import find_model, require_index, require_projection


def check_inputs(*paths: str | None) -> None:
    """FileNotFoundError for the first path that is not there; None is an option not given."""
    for path in filter(None, paths):
        require_path(path)


def check_indices(*folders: str | None) -> None:
    """ImportError without faiss, FileNotFoundError for the first folder that holds no index."""
    check_faiss()
    for folder in filter(None, folders):
        require_index(folder)


def check_model(name: str, ignore: str | None = None) -> None:
    """FileNotFoundError if there is no such model, or no file of a nuisance projection that --ignore names."""
    find_model(name)
    if ignore and ignore.endswith(".safetensors"):
        require_projection(ignore)


def check_output(path: str, overwrite: bool) -> None:
    """FileExistsError if a result is there already and may not be replaced.

    With `overwrite`, what a folder may hold is checked later, by the code that owns its files.
    """
    if not overwrite:
        refuse_existing(path, overwrite=False)


def column_mapping(pairs: list[str]) -> dict[str, str]:
    """Quantity -> column, from the words QUANTITY=COLUMN; ValueError for another word."""
    for pair in pairs:
        if "=" not in pair:
            raise ValueError(f"--columns takes QUANTITY=COLUMN, got {pair!r}")
    return dict(pair.split("=", 1) for pair in pairs)


def label_list(text: str) -> list[str]:
    """Return the names in "teff,mass"."""
    return [word.strip() for word in text.split(",") if word.strip()]


def given_labels(text: str) -> dict[str, float | None]:
    """Return label -> error of "teff=80,logg"; None where no error is named."""
    given: dict[str, float | None] = {}
    for word in label_list(text):
        name, _, error = word.partition("=")
        try:
            given[name] = float(error) if error else None
        except ValueError as problem:
            raise argparse.ArgumentTypeError(
                f"expected LABEL or LABEL=ERROR with a number, got {word!r}"
            ) from problem
    return given
