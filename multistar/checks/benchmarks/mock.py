"""Speed and memory of the mock survey."""

import resource
import tempfile
import time
from pathlib import Path

from multistar.mock.selection import SELECTIONS
from multistar.mock.shards import write_survey
from multistar.mock.survey import SurveyConfig, survey, survey_block

CURVES = ("gaia", "kepler")
SHARE_WITH_CURVES = 8  # of the stars, one in so many gets light curves


def measure_speed(n_stars: int, config: SurveyConfig) -> float:
    """Measure how many stars of a survey are made per second, by the clock."""
    begun = time.perf_counter()
    made = sum(len(table) for table in survey(n_stars, config))
    return made / (time.perf_counter() - begun)


def measure_peak_memory() -> float:
    """Return the most memory [GB] that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def benchmark_selections(n_stars: int) -> list[dict]:
    """Measure stars per second of every selection, without light curves and with them."""
    survey_block(SurveyConfig(), 0)  # loads the tables
    rows = []
    for name in SELECTIONS:
        row: dict = {"selection": name}
        row["stars_per_s"] = measure_speed(n_stars, SurveyConfig(selection=name))
        for mission in CURVES:
            config = SurveyConfig(selection=name, light_curves=(mission,))
            few = max(n_stars // SHARE_WITH_CURVES, 1)
            row[f"with_{mission}_light_curves"] = measure_speed(few, config)
        rows.append(row)
    return rows


def benchmark_shards(n_stars: int) -> dict[str, float]:
    """Measure seconds and disk space [GB] of a survey in shards, written to a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "survey"
        begun = time.perf_counter()
        write_survey(n_stars, SurveyConfig(), folder)
        seconds = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in folder.iterdir())
    return {"stars": n_stars, "seconds": seconds, "gigabytes": size / 1e9}
