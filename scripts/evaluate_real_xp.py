"""A model on real Gaia XP spectra: one band from the other, stars of known labels, and stars that it should refuse.

    python scripts/evaluate_real_xp.py FIELD.fits [--known CALSPEC.csv] [--odd EXOTIC.parquet] [--model mini]

FIELD    ordinary stars. Of them 20 % by a hash of the id are predicted (those that training with `data.sky`
         leaves out); a conditional Gaussian learnt from the other 80 % is the baseline.
--known  a table that holds the XP of some of the stars in KNOWN, whose labels are known from elsewhere
--odd    stars unlike any mock star; how many are flagged
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from multistar.api import MultiStar
from multistar.checks.physics import inpainting
from multistar.stars import Stars, read_stars
from multistar.training.data import held_out

SKY_HELD_OUT = 0.2
BINS = ((0, 14), (14, 16), (16, 17.65))  # G
# Literature: 18 Sco from Melendez et al. (2014) and Gaia's parallax, 16 Cyg B from Ramirez et al. (2011), Metcalfe
# et al. (2015) and Gaia's parallax. name, teff [K], logg [dex], [M/H] [dex], mass [Msun], age [Gyr], E(B-V) [mag]
KNOWN = {
    4345775217221821312: ("18 Sco", 5823, 4.45, 0.05, 1.04, 2.9, 0.0),
    2135550755683407232: ("16 Cyg B", 5751, 4.35, 0.05, 1.04, 7.0, 0.0),
}
LABELS = ("teff", "logg", "m_h", "mass", "age", "ebv")


def fill_in(model: MultiStar, path: str, console: Console) -> None:
    """Everyone is shown all orders; only relevant ones are judged."""
    field = read_stars(path, all_orders=True)
    test = held_out(field.source_id, SKY_HELD_OUT)
    reference, stars, judged = (
        field.select(~test),
        field.select(test),
        read_stars(path).select(test),
    )
    table = Table(
        title=f"one band from the other, {len(stars)} stars: median over stars of rms / catalogue error"
    )
    for name in ("band", "G", "stars", "model", "Gaussian", "ratio"):
        table.add_column(name, justify="right")
    for band in ("bp", "rp"):
        for low, high in ((0, 99), *BINS):
            g = stars.scalars["g"].value
            here = (g > low) & (g < high)
            some = stars.select(here)
            if len(some) > 10:
                r = inpainting(model.model, some, reference, band, judged.select(here))
                numbers = (f"{r[key]:.3f}" for key in ("model", "gaussian", "ratio"))
                table.add_row(
                    band, f"{low}-{high}" if high < 99 else "all", str(len(some)), *numbers
                )
    console.print(table)


def known_stars(model: MultiStar, path: str, console: Console) -> None:
    stars = read_stars(path)
    stars = stars.select(np.isin(stars.source_id, list(KNOWN)))
    result = model.predict(stars).to_pylist()
    table = Table(title="stars of known labels, XP alone: 16 % / median / 84 %, literature below")
    for name in ("star", *LABELS, "status"):
        table.add_column(name, justify="right")
    for row in result:
        star, *truth = KNOWN[row["source_id"]]
        digits = ["{:.0f}", *["{:.2f}"] * (len(LABELS) - 1)]
        cells = [" / ".join(d.format(row[n + s]) for s in ("_lower", "", "_upper"))
                 for n, d in zip(LABELS, digits, strict=True)]  # fmt: skip
        table.add_row(star, *cells, row["status"])
        table.add_row("literature", *(d.format(t) for d, t in zip(digits, truth, strict=True)), "")
    console.print(table)


def flagged(model: MultiStar, stars: Stars) -> float:
    return float(
        np.mean(
            ["outside_training" in words for words in model.predict(stars)["status"].to_pylist()]
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("field", help="table of ordinary stars with XP coefficients and errors")
    parser.add_argument("--known", help="table with XP of stars in KNOWN")
    parser.add_argument("--odd", help="table of stars unlike the mock's")
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    model, console = MultiStar.from_pretrained(args.model), Console(width=150)
    field = read_stars(args.field)
    fill_in(model, args.field, console)
    console.print(
        f"flagged outside_training: {100 * flagged(model, field):.1f} % of {len(field)} field stars"
    )
    if args.known:
        known_stars(model, args.known, console)
    if args.odd:
        odd = read_stars(args.odd)
        console.print(
            f"flagged outside_training: {100 * flagged(model, odd):.1f} % of {len(odd)} odd stars"
        )


if __name__ == "__main__":
    main()
