"""Speed and memory of the mock survey.

    python scripts/benchmark_mock.py [--stars 20000] [--million]

Stars/s by selection without light curves, and with Kepler's and Gaia's; `--million` writes 1,000,000 apogee-like
stars to shards in a temporary folder and reports speed and peak memory of the whole process.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from multistar.mock.selection import SELECTIONS
from multistar.mock.shards import write_survey
from multistar.mock.survey import SurveyConfig, survey, survey_block


def speed(n_stars: int, config: SurveyConfig) -> float:
    begun = time.perf_counter()
    made = sum(len(table) for table in survey(n_stars, config))
    return made / (time.perf_counter() - begun)


def peak_memory() -> float:
    """GB"""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=20000)
    parser.add_argument("--million", action="store_true")
    args = parser.parse_args()
    survey_block(SurveyConfig(), 0)  # load tables
    table = Table(
        "selection",
        "XP + photometry [stars/s]",
        "with Gaia light curves",
        "with Kepler light curves",
    )
    for name in SELECTIONS:
        plain = speed(args.stars, SurveyConfig(selection=name))
        curves = [
            speed(args.stars // 8, SurveyConfig(selection=name, light_curves=(m,)))
            for m in ("gaia", "kepler")
        ]
        table.add_row(name, f"{plain:,.0f}", *(f"{x:,.0f} ({x / plain:.2f})" for x in curves))
    Console(width=110).print(table)
    print(f"peak memory {peak_memory():.2f} GB")
    if args.million:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            write_survey(1_000_000, SurveyConfig(), Path(folder) / "million")
            seconds = time.perf_counter() - begun
            size = sum(p.stat().st_size for p in (Path(folder) / "million").iterdir()) / 1e9
        print(f"1,000,000 stars in {seconds:.0f} s, {1e6 / seconds:,.0f} stars/s, {size:.2f} GB of shards, "
              f"peak memory {peak_memory():.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
