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
FAST_PERIOD, YOUNG_AGE = 8, 1  # d, Gyr
PERCENTILES = (2.5, 16, 50, 84, 97.5)
LIMITS = (
    "Limits: below 3800 K spectra are good to 10-40 %; stars younger than 0.1 Gyr end with the main "
    "sequence; no carbon stars, white dwarfs, emission lines, discs or rotation."
)
COMPONENT_TEXT = {
    "thin": (
        "10 Gyr, e-fold 14 Gyr, to today",
        "0.10 - 0.045 (R - 8.2 kpc) - 0.022 age +- (0.06 + 0.017 age)",
    ),
    "thick": ("10.0 +- 1.2 Gyr", "-0.55 +- 0.25"),
    "halo": ("12.0 +- 0.6 Gyr", "-1.50 +- 0.45"),
}


def describe(config: SurveyConfig, n_stars: int = 4000) -> Group:
    """Describe the survey that a configuration gives, with statistics of its first stars.

    Parameters
    ----------
    config : SurveyConfig
        Settings of the survey.
    n_stars : int
        Size of the sample.

    Returns
    -------
    rich.console.Group
        Text and tables that rich prints.
    """
    sample = pa.concat_tables(survey(n_stars, config))
    coolest, hottest = TEFF_RANGE
    lines = (
        f"[bold]{config.selection}[/bold], seed {config.seed}, layout {config.layout}",
        f"Stars of {coolest:.0f}-{hottest:.0f} K; PARSEC isochrones from 1 Myr, Chabrier masses; "
        "LTE spectra, Kurucz (1993) above 8000 K, corrected by MILES, STELIB, Pickles, HST, LAMOST, Kepler "
        "and Gaia XP stars.",
        LIMITS,
        f"{binaries.FRACTION:.0%} of the systems have a companion; "
        f"unresolved ones (< {binaries.RESOLVED} arcsec) add their light. "
        "Dust: exponential disc with fixed lumps, R_V = 3.1 +- 0.18.",
    )
    return Group(
        *lines,
        _selection_table(),
        _component_table(),
        _population_table(sample),
        _label_table(sample),
    )


def _selection_table() -> Table:
    table = Table("selection", "stars taken", title="Selections")
    for name, selection in SELECTIONS.items():
        table.add_row(name, selection.description)
    return table


def _component_table() -> Table:
    heads = ("component", "of stars formed", "ages", "[M/H]", "length [kpc]")
    table = Table(*heads, title="The Galaxy")
    components = zip(galaxy.COMPONENTS, galaxy.FRACTIONS, galaxy.SCALE_LENGTH, strict=True)
    for name, fraction, length in components:
        table.add_row(name, f"{fraction:.0%}", *COMPONENT_TEXT[name], f"{length}")
    return table


def find_populations(sample: pa.Table) -> dict[str, np.ndarray]:
    """Find the stars of each population in a table of a mock survey; populations overlap.

    Returns
    -------
    dict of str to (n,) array of bool
        Name of a population -> True for its stars.
    """
    logg = sample["true_logg"].to_numpy()
    component = np.array(sample["component"].to_pylist())
    variability = np.array(sample["variability"].to_pylist())
    found = {}
    for name in galaxy.COMPONENTS:
        found[name] = component == name
    found["giants"] = logg < GIANT_LOGG
    found["subgiants"] = (logg >= GIANT_LOGG) & (logg < SUBGIANT_LOGG)
    found["dwarfs"] = logg >= SUBGIANT_LOGG
    for name in ("binary", "eclipsing", "synchronised"):
        found[name] = sample[name].to_numpy(zero_copy_only=False)
    fast = sample["rotation_period"].to_numpy() < FAST_PERIOD
    young = sample["true_age"].to_numpy() < YOUNG_AGE
    name = f"young fast rotators (P < {FAST_PERIOD} d, < {YOUNG_AGE} Gyr)"
    found[name] = fast & ~found["synchronised"] & young
    for name in sorted(set(variability) - {""}):
        found[f"variable: {name}"] = variability == name
    return found


def _population_table(sample: pa.Table) -> Table:
    title = f"In the first {len(sample)} stars"
    table = Table("population", "stars", "share", title=title)
    for name, inside in find_populations(sample).items():
        table.add_row(name, f"{inside.sum()}", f"{inside.mean():.1%}")
    return table


def _label_table(sample: pa.Table) -> Table:
    heads = [f"{p:g} %" for p in PERCENTILES]
    table = Table("quantity", *heads, "median error", title="Percentiles")
    for name in LABEL_ERROR:
        errors = sample[f"{name}_error"].to_numpy()
        percentiles = _format_percentiles(sample, f"true_{name}")
        table.add_row(name, *percentiles, f"{np.median(errors):.2g}")
    table.add_row("G", *_format_percentiles(sample, "phot_g_mean_mag"), "")
    return table


def _format_percentiles(sample: pa.Table, column: str) -> list[str]:
    values = np.percentile(sample[column].to_numpy(), PERCENTILES)
    return [f"{value:.4g}" for value in values]


def print_description(config: SurveyConfig) -> None:
    """Print the description of a survey."""
    Console().print(describe(config))
