"""What a mock survey holds, in words and in the numbers of a small sample."""

import numpy as np
import pyarrow as pa
from rich.console import Console, Group
from rich.table import Table

from multistar.mock import binaries, galaxy
from multistar.mock.phases import GIANT_LOGG, TEFF_RANGE
from multistar.mock.selection import SELECTIONS
from multistar.mock.survey import LABEL_ERROR, SurveyConfig, survey

SUBGIANT_LOGG = 4.0
PERCENTILES = (2.5, 16, 50, 84, 97.5)
COMPONENT_TEXT = {
    "thin": (
        "10 Gyr, e-fold 14 Gyr, to today",
        "0.10 - 0.045 (R - 8.2 kpc) - 0.022 age +- (0.06 + 0.017 age)",
    ),
    "thick": ("10.0 +- 1.2 Gyr", "-0.55 +- 0.25"),
    "halo": ("12.0 +- 0.6 Gyr", "-1.50 +- 0.45"),
}


def describe(config: SurveyConfig, n_stars: int = 4000) -> Group:
    """A printable description of the survey that `config` gives, with statistics of its first `n_stars`."""
    sample = pa.concat_tables(survey(n_stars, config))
    lines = (
        f"[bold]{config.selection}[/bold], seed {config.seed}, layout {config.layout}",
        f"Stars of {TEFF_RANGE[0]:.0f}-{TEFF_RANGE[1]:.0f} K; PARSEC isochrones, LTE spectra, Chabrier masses.",
        f"{binaries.FRACTION:.0%} of the systems have a companion; unresolved ones (< {binaries.RESOLVED} arcsec) "
        "add their light. Dust: exponential disc with fixed lumps, R_V = 3.1 +- 0.18.",
    )
    return Group(*lines, _selections(), _components(), _kinds(sample), _labels(sample))


def _selections() -> Table:
    table = Table("selection", "stars taken", title="Selections")
    for name, selection in SELECTIONS.items():
        table.add_row(name, selection.description)
    return table


def _components() -> Table:
    table = Table(
        "component", "of stars formed", "ages", "[M/H]", "length [kpc]", title="The Galaxy"
    )
    for name, fraction, length in zip(
        galaxy.COMPONENTS, galaxy.FRACTIONS, galaxy.SCALE_LENGTH, strict=True
    ):
        table.add_row(name, f"{fraction:.0%}", *COMPONENT_TEXT[name], f"{length}")
    return table


def kinds(sample: pa.Table) -> dict[str, np.ndarray]:
    """Name of each population -> (n,) True for its stars; populations overlap."""
    logg = sample["true_logg"].to_numpy()
    component = np.array(sample["component"].to_pylist())
    out = {name: component == name for name in galaxy.COMPONENTS}
    out |= {
        "giants": logg < GIANT_LOGG,
        "subgiants": (logg >= GIANT_LOGG) & (logg < SUBGIANT_LOGG),
        "dwarfs": logg >= SUBGIANT_LOGG,
    }
    out |= {
        name: sample[name].to_numpy(zero_copy_only=False)
        for name in ("binary", "eclipsing", "synchronised")
    }
    rotation, synchronised = sample["rotation_period"].to_numpy(), out["synchronised"]
    out["young fast rotators (P < 8 d, < 1 Gyr)"] = (
        (rotation < 8) & ~synchronised & (sample["true_age"].to_numpy() < 1)
    )
    variability = np.array(sample["variability"].to_pylist())
    return out | {
        f"variable: {name}": variability == name for name in sorted(set(variability) - {""})
    }


def _kinds(sample: pa.Table) -> Table:
    table = Table("population", "stars", "share", title=f"In the first {len(sample)} stars")
    for name, inside in kinds(sample).items():
        table.add_row(name, f"{inside.sum()}", f"{inside.mean():.1%}")
    return table


def _labels(sample: pa.Table) -> Table:
    heads = [f"{p:g} %" for p in PERCENTILES]
    table = Table("quantity", *heads, "median error", title="Percentiles")
    for name in LABEL_ERROR:
        values = np.percentile(sample[f"true_{name}"].to_numpy(), PERCENTILES)
        error = np.median(sample[f"{name}_error"].to_numpy())
        table.add_row(name, *(f"{x:.4g}" for x in values), f"{error:.2g}")
    g = np.percentile(sample["phot_g_mean_mag"].to_numpy(), PERCENTILES)
    table.add_row("G", *(f"{x:.4g}" for x in g), "")
    return table


def print_description(config: SurveyConfig) -> None:
    Console().print(describe(config))
