"""Tables of documents on known labels, dust maps and E(B-V) of real stars."""

from collections.abc import Mapping
from typing import Any

from multistar.checks.markdown import format_rows, name_label, write_percent, write_scatter

DIGITS = {"teff": 0, "ebv": 3, "mass": 3, "age": 2}
INPUTS = {
    "photometry": "photometry, parallax",
    "photometry and spectra": "and Teff, log g, [Fe/H] of APOGEE",
}
MAPS = {
    "none": "no map",
    "disc": "`disc`",
    "BH": "Burstein & Heiles",
    "SFD x 0.86": "SFD x 0.86, at 0.9 degrees",
    "Planck": "Planck 2013, at 0.9 degrees",
}
BY = {"zero shot": "mini"}
SAMPLES = {"giants": "Kepler giants", "lamost": "LAMOST stars", "field": "field stars"}
AGAINST = {"reddening_r": "LAMOST's", "BH": "Burstein & Heiles"}


def make_given(figures: Mapping[str, Any]) -> str:
    """Mass and age with and without spectroscopic labels: a row per input and learner."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in figures["given"]:
        rows.setdefault((row["inputs"], row["by"]), []).append(_write(row))
    cells = [[INPUTS[inputs], BY.get(by, by), *row] for (inputs, by), row in rows.items()]
    labels = dict.fromkeys(row["label"] for row in figures["given"])
    return format_rows(["known", "by", *map(name_label, labels)], cells)


def make_dust_maps(figures: Mapping[str, Any]) -> str:
    """Teff and E(B-V) with the dust of a map: a row per map."""
    rows: dict[str, list[str]] = {}
    for row in figures["dust"]:
        rows.setdefault(row["map"], []).append(_write(row))
    stars = figures["dust"][0]["stars"]
    labels = dict.fromkeys(row["label"] for row in figures["dust"])
    header = [f"{stars:,} Kepler giants", *map(name_label, labels)]
    return format_rows(header, [[MAPS[name], *cells] for name, cells in rows.items()])


def make_reddening(figures: Mapping[str, Any]) -> str:
    """E(B-V) of real stars beside what others say of them: a row per source and learner."""
    rows = []
    for stars, of in figures.items():
        for row in of["rows"]:
            cells = [
                f"{row['stars']:,} {SAMPLES[stars]}",
                row["by"],
                AGAINST.get(row["against"], row["against"]),
            ]
            cells.append(write_scatter(row, DIGITS["ebv"]))
            correlation = row.get("rank_correlation")
            cells.append("" if correlation is None else f"{correlation:.2f}")
            rows.append(cells)
    header = ["", "E(B-V) by", "against", "MAD-std (bias) [mag]", "rank correlation"]
    return format_rows(header, rows)


def _write(row: Mapping[str, Any]) -> str:
    """MAD-std (bias), and the share in the 68 % interval where there is one."""
    text = write_scatter(row, DIGITS[row["label"]])
    return f"{text}, {write_percent(row['held'])}" if "held" in row else text
