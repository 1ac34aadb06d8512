"""What ten neighbours share: labels, and dust before and after `--ignore dust`; beside chance and raw XP spectra.

    python scripts/benchmark_neighbours.py [--selection apogee-like] [--stars 20000] [--seed 41] [--out FILE.json]

The stars are new mock ones; neighbours are looked for among all of them, for the first QUERIES. Errors are MAD-std of
(mean of ten neighbours - query), and of (neighbour - query) for the scatter. R2 is that of a linear regression of the
query's ln(E(B-V) + 0.01) on the mean of its neighbours'. Natural is what neighbours in the space of the true intrinsic
labels show: selection ties dust to luminosity and metallicity. Raw XP are the coefficients over the G flux, each
coefficient over its scatter.
"""

import argparse
import json

import numpy as np
import pyarrow as pa
from astropy.stats import mad_std
from rich.console import Console
from rich.table import Table

from multistar.api import MultiStar
from multistar.checks.neighbours import nearest, squared_correlation
from multistar.io.files import atomic_write
from multistar.mock.survey import SurveyConfig, survey
from multistar.modalities.scalars.transforms import to_even_scale
from multistar.model.nuisance import INTRINSIC
from multistar.quantities import QUANTITIES
from multistar.stars import read_stars

K, QUERIES, FLOOR = 10, 5000, 0.01
JUDGED = ("teff", "logg", "m_h", "mass", "age")


def standard(x: np.ndarray) -> np.ndarray:
    return (x - np.median(x, axis=0)) / mad_std(x, axis=0)


def spaces_of(model: MultiStar, table: pa.Table) -> dict[str, np.ndarray]:
    """Points (n, d) in which neighbours are looked for, by name."""
    stars = read_stars(table)
    flux = 10 ** (-0.4 * stars.scalars["g"].value)[:, None]
    xp = np.hstack([stars.xp[band].value / flux for band in ("bp", "rp")])
    labels = [
        to_even_scale(QUANTITIES[name], table[f"true_{name}"].to_numpy()) for name in INTRINSIC
    ]
    embedding = np.stack(model.embed(table)["embedding"].to_numpy())
    return {
        "chance": np.random.default_rng(0).normal(size=(len(table), 3)),
        "raw XP": np.nan_to_num(standard(xp)),
        "embedding": embedding,
        "embedding --ignore dust": model.eraser("dust")(embedding),
        "true labels (natural)": standard(np.stack(labels, 1)),
    }


def judged(found: np.ndarray, table: pa.Table) -> dict:
    """What neighbours (queries, K) share with the first stars of the table."""
    dust = np.log(table["true_ebv"].to_numpy() + FLOOR)
    out: dict = {
        "dust_r2": squared_correlation(dust[found].mean(1), dust[: len(found)]),
        "error": {},
        "scatter": {},
        "std": {},
    }
    for name in JUDGED:
        value = table[f"true_{name}"].to_numpy()
        query = value[: len(found)]
        out["error"][name] = float(mad_std(value[found].mean(1) - query))
        out["scatter"][name] = float(mad_std(value[found] - query[:, None]))
        out["std"][name] = float(np.std(value[found] - query[:, None]))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--selection", default="apogee-like")
    parser.add_argument("--stars", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--out")
    args = parser.parse_args()
    model = MultiStar.from_pretrained(args.model)
    table = pa.concat_tables(survey(args.stars, SurveyConfig(args.seed, selection=args.selection)))
    queries = min(QUERIES, args.stars)
    result = {
        name: judged(nearest(x, K, queries), table) for name, x in spaces_of(model, table).items()
    }
    shown = Table("neighbours in", "R2 of ln E(B-V)", *(f"{n} error (scatter)" for n in JUDGED))
    for name, found in result.items():
        cells = (f"{found['error'][n]:.3g} ({found['scatter'][n]:.3g})" for n in JUDGED)
        shown.add_row(name, f"{found['dust_r2']:.3f}", *cells)
    Console(width=150).print(shown)
    before, after, natural = (
        result[n] for n in ("embedding", "embedding --ignore dust", "true labels (natural)")
    )
    print(
        f"R2 above natural: {after['dust_r2'] - natural['dust_r2']:+.3f}; change of the neighbours' scatter:"
    )
    for kind, text in (("scatter", "MAD-std"), ("std", "standard deviation")):
        print(
            f"  {text}: "
            + ", ".join(f"{n} {after[kind][n] / before[kind][n] - 1:+.0%}" for n in JUDGED)
        )
    if args.out:
        with atomic_write(args.out, True) as temporary:
            about = {
                "model": model.model.hash,
                "eraser": model.eraser().name,
                "selection": args.selection,
            }
            temporary.write_text(
                json.dumps(about | {"stars": args.stars, "spaces": result}, indent=1)
            )


if __name__ == "__main__":
    main()
