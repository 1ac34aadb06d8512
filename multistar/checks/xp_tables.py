"""Tables of documents on real XP spectra, and on real stars beside their mock twins."""

from collections.abc import Mapping
from typing import Any

from multistar.checks.markdown import format_rows, name_label, write_percent, write_scatter

TWINS = {
    "giants": "Kepler giants, photometry, parallax",
    "lamost": "LAMOST stars, photometry, parallax",
    "members": "members of clusters, Gaia magnitudes, parallax",
    "field": "field stars, XP",
}
NAMES = {"field": "field stars"}
FLAGGED = {
    "field": "ordinary field stars",
    "odd": "hot subdwarfs, planetary nebulae, symbiotic stars",
}
DIGITS = {"teff": 0, "logg": 2, "m_h": 2, "mass": 2, "age": 1}


def make_xp_response(figures: Mapping[str, Any]) -> str:
    """Medians of real spectra over the mock's, before and after the response."""
    rows = []
    for row in figures["left"]:
        stars = [row["band"].upper(), row["bp_rp"], str(row["n"])]
        names = ("before", "after", "ends_before", "ends_after")
        rows.append([*stars, *(f"{row[name]:.1f} %" for name in names)])
    header = ["band", "BP - RP", "stars", "without the response", "with it"]
    header += ["ends, without", "ends, with it"]
    return format_rows(header, rows)


def make_xp_pairs(figures: Mapping[str, Any]) -> str:
    """XP over what HST saw of the same stars, before and after the response."""
    rows = []
    for row in figures["pairs"]:
        stars = [row["stars"], str(row["n"]), row["band"].upper()]
        rows.append([*stars, f"{row['before']:.1f} %", f"{row['after']:.1f} %"])
    return format_rows(
        ["", "stars", "band", "GaiaXPy's instrument model", "with the response"], rows
    )


def make_sampled(figures: Mapping[str, Any]) -> str:
    """How far labels move from coefficients to sampled spectra, and what that costs mock stars."""
    rows = []
    for stars, labels in figures.items():
        cells = [f"{row['moved']:.2f}" for row in labels]
        rows.append([f"{labels[0]['stars']} {NAMES.get(stars, stars)}, shift [errors]", *cells])
        if "scatter" in labels[0]:
            cells = [f"{100 * (row['scatter'] - 1):+.0f} %" for row in labels]
            rows.append(["scatter to the truth", *cells])
    labels = next(iter(figures.values()))
    return format_rows(["", *(row["label"] for row in labels)], rows)


def make_inpainting(figures: Mapping[str, Any]) -> str:
    """One band of real stars predicted from the other."""
    rows = []
    for row in figures["inpainting"]:
        g = "all" if row["g"] == "0-99" else row["g"]
        errors = [f"{row['model']:.1f}", f"{row['gaussian']:.1f}"]
        rows.append([row["band"].upper(), g, str(row["stars"]), *errors])
    header = ["band", "G", "stars", "the model misses by [errors]", "a Gaussian"]
    return format_rows(header, rows)


def make_sun_like(figures: Mapping[str, Any]) -> str:
    """Stars of known labels, told by XP alone: median (68 % interval), and the literature's value."""
    rows: dict[str, list[str]] = {}
    for row in figures["known_stars"]:
        if row["label"] in DIGITS:
            digits = DIGITS[row["label"]]
            found, lower, upper = (
                f"{row[name]:,.{digits}f}" for name in ("median", "lower", "upper")
            )
            cell = f"{found} ({lower} to {upper}); {row['literature']:,.{digits}f}"
            rows.setdefault(row["star"], []).append(cell)
    header = ["told; literature", *map(name_label, DIGITS)]
    return format_rows(header, [[star, *cells] for star, cells in rows.items()])


def make_flagged(figures: Mapping[str, Any]) -> str:
    """Shares of real stars that are called unlike the training stars by their XP."""
    rows = [[FLAGGED[row["stars"]], write_percent(row["share"])] for row in figures["flagged"]]
    return format_rows(["", "`outside_training`"], rows)


def make_twins(figures: Mapping[str, Any]) -> str:
    """Real stars beside their mock twins: how well they are told apart, and labels."""
    rows = []
    for part, of in figures.items():
        cells = [f"{of['auc']['linear']:.2f}", f"{of['control']['linear']:.2f}"]
        accuracy = of["accuracy"]
        cells.append(_write(accuracy, "teff", "partners"))
        cells += [_write(accuracy, label, "real") for label in DIGITS]
        rows.append([f"{of['pairs']:,} {TWINS[part]}", *cells])
    header = ["", "AUC", "mock against mock", "Teff [K], twins"]
    header += ["Teff [K], real", "log g", "[M/H]", "mass [Msun]", "age [Gyr]"]
    return format_rows(header, rows)


def _write(accuracy: Mapping[str, Any], label: str, who: str) -> str:
    """MAD-std (bias) of a label; nothing where it is not known."""
    if label not in accuracy:
        return ""
    return write_scatter(accuracy[label][who], DIGITS[label])
