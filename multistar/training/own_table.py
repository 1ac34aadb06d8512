"""A table of one's own stars -> the run file of a model that learns from it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from multistar.io.files import atomic_write
from multistar.io.folders import CONFIG
from multistar.io.tables import read_columns
from multistar.training.data import read_labelled
from multistar.training.run import DataConfig, RunConfig, TrainingConfig

HELD_OUT = 0.15  # share of the stars
BATCH = 64
# How often each star is seen, from nothing and from a model that knows spectra already
EPOCHS, EPOCHS_ON = 20, 8
FEWEST_STEPS, MOST_STEPS = 600, 60_000
RATE, RATE_ON = 4e-3, 1e-3


def describe_run(
    table: str | Path,
    labels: Sequence[str],
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    start: str = "",
    steps: int = 0,
    held_out: float = HELD_OUT,
    seed: int = 0,
) -> RunConfig:
    """Describe a run that learns labels of real stars from one table, without mock stars.

    Parameters
    ----------
    table : path
        XP spectra, photometry, parallaxes, light curves and labels with errors, any part of them.
    labels : sequence of str
        Names of quantities or of columns; "vsini:log" is learnt in its logarithm.
    out : path
        Folder of the model.
    columns : mapping of str to str, optional
        Quantity -> column.
    start : str
        Model to go on from, such as "mini"; "" is none.
    steps : int
        0: by the number of stars.
    held_out : float
        Share of the stars, by a hash of their ids, that calibrate and judge.
    seed : int

    Returns
    -------
    RunConfig
        With absolute paths.

    Raises
    ------
    ValueError
        For labels that are none or that the table lacks, and for what `read_stars` refuses.
    """
    data = DataConfig(
        [str(Path(table).resolve())],
        held_out=held_out,
        columns=dict(columns or {}),
        labels=list(labels),
    )
    stars = len(read_labelled(read_columns(table), data))
    if not steps:
        epochs = EPOCHS_ON if start else EPOCHS
        steps = round(stars * (1 - held_out) * epochs / BATCH)
        steps = min(max(steps, FEWEST_STEPS), MOST_STEPS)
    rate = RATE_ON if start else RATE
    training = TrainingConfig(steps=steps, batch=BATCH, learning_rate=rate, seed=seed)
    if start and (Path(start) / CONFIG).is_file():
        start = str(Path(start).resolve())
    return RunConfig(str(Path(out).resolve()), data, training=training, start=start)


def write_run(run: RunConfig, path: str | Path, overwrite: bool = False) -> None:
    """Write what differs from the defaults as a TOML file that `load_run` reads.

    Raises FileExistsError if the file is there, holds something else, and `overwrite` is False.
    """
    text = "# Written by multistar pretrain --table; all keys are in docs/guides/own-survey.md\n"
    for key in ("out", "start"):
        if getattr(run, key):
            text += f"{key} = {_as_toml(getattr(run, key))}\n"
    for name in ("data", "training"):
        part = getattr(run, name)
        text += f"\n[{name}]\n"
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if field.default == value or value in ([], {}):
                continue
            text += f"{field.name} = {_as_toml(value)}\n"
    if Path(path).is_file() and Path(path).read_text(encoding="utf-8") == text:
        return
    with atomic_write(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _as_toml(value: object) -> str:
    """A string, number, list of strings or dict of strings.

    JSON's strings are TOML's, but for pairs of surrogates and DEL.
    """
    if isinstance(value, dict):
        pairs = (f"{_as_toml(key)} = {_as_toml(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
