"""Tables of README and documentation, made from docs/results/*.json, so that none is typed by hand.

A document holds a table between two comments, `<!-- table NAME -->` and `<!-- end -->`.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multistar.checks.given_tables import make_dust_maps, make_given, make_reddening
from multistar.checks.markdown import (
    LABEL_NAMES,
    format_rows,
    name_label,
    write_error,
    write_percent,
    write_scatter,
)
from multistar.checks.xp_tables import (
    make_flagged,
    make_inpainting,
    make_sampled,
    make_sun_like,
    make_twins,
    make_xp_pairs,
    make_xp_response,
)
from multistar.quantities import QUANTITIES

MARKED = re.compile(r"(<!-- table ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
# How labels are written: digits behind the point.
DIGITS = {"teff": 0, "logg": 2, "m_h": 2, "mass": 3, "age": 2}
HEADLINE = ("teff", "logg", "m_h", "mass", "age", "ebv")
SPECTRAL_LABELS = ("teff", "logg", "m_h")
SPEED_VERBS = (
    "predict",
    "predict, photometry",
    "predict, 2 of 8 labels",
    "predict, 16 joint samples",
    "predict, 64 joint samples",
    "predict, 256 joint samples",
    "embed",
    "embed, light curves alone",
    "embed, light curves and the rest",
)


def fill_document(text: str, results: Path) -> str:
    """Replace each table of a document by what the results say now.

    Parameters
    ----------
    text : str
        Of the document.
    results : Path
        The folder of JSON files.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For a table of an unknown name.
    """

    def fill(match: re.Match) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"no table is called {match[2]}; there are {', '.join(TABLES)}")
        name, make = TABLES[match[2]]
        record = json.loads((results / f"{name}.json").read_text())
        return f"{match[1]}{make(record['figures'])}{name_origin(record)}\n{match[3]}"

    return MARKED.sub(fill, text)


def name_origin(record: Mapping[str, Any]) -> str:
    """Say which weights a table belongs to, and where its figures are."""
    weights, machine = record["weights_sha256"], record["machine"]
    whose = f"Weights {weights[:8]}" if weights else "Weights made on the way"
    return (
        f"\n{whose}, docs/results/{record['name']}.json, {record['date'][:10]}, "
        f"{machine['cores']} cores with {machine['isa']}.\n"
    )


def make_headline(figures: Mapping[str, Any]) -> str:
    """Giants of the mock: the model, XGBoost and coverage, a column per label."""
    by_label = figures["with parallax"]

    def scatter(of: str) -> list[str]:
        return [write_error(name, by_label[name][of]["surveyed"]) for name in HEADLINE]

    rows = [
        ["mini", *scatter("model")],
        ["XGBoost", *scatter("XGBoost")],
        [
            "truths in the 68 % interval",
            *(write_percent(by_label[n]["coverage"]) for n in HEADLINE),
        ],
    ]
    return format_rows(["", *map(name_label, HEADLINE)], rows)


def make_labels(figures: Mapping[str, Any]) -> str:
    """Giants of the mock, a row per label."""
    rows = []
    for name, of in figures["with parallax"].items():
        model, ratio = of["model"], of["ratios"]
        rows.append(
            [
                name_label(name),
                write_error(name, model["surveyed"]),
                write_error(name, model["truth"]),
                write_percent(of["coverage"]),
                write_percent(of["worst_coverage"][0]),
                write_error(name, of["XGBoost"]["surveyed"]),
                *(f"{ratio[kind]:.2f}" for kind in ("surveyed", "truth", "perfect")),
            ]
        )
    header = [
        "label",
        "MAD-std to surveyed labels",
        "to the truth",
        "truths in 68 % interval",
        "worst bin",
        "XGBoost MAD-std",
        "ratio",
        "ratio to truth",
        "perfect",
    ]
    return format_rows(header, rows)


def make_known(figures: Mapping[str, Any]) -> str:
    """Mock stars by what is known of them: MAD-std (bias) and share in the 68 % interval."""
    rows = []
    for sample, of in figures.items():
        cells: dict[str, list[str]] = {}
        for score in of["scores"]:
            digits = {"teff": 0, "ebv": 3}.get(score["label"], 2)
            text = f"{write_scatter(score, digits)}, {write_percent(score['coverage'])}"
            cells.setdefault(score["known"], []).append(text)
        rows += [[f"{of['stars']:,} {sample}", known, *row] for known, row in cells.items()]
    labels = dict.fromkeys(score["label"] for of in figures.values() for score in of["scores"])
    return format_rows(["stars", "known", *map(name_label, labels)], rows)


def make_sky(figures: Mapping[str, Any], labels: Sequence[str], intervals: bool) -> str:
    """Make a table of real stars: MAD-std (bias), and shares in the 68 % interval."""
    samples: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in figures["samples"]:
        samples.setdefault(row["sample"], {})[row["label"]] = row
    rows = []
    for name, of in samples.items():
        stars = next(iter(of.values()))["stars"]
        cells = [_scatter(of[label], intervals) if label in of else "" for label in labels]
        rows.append([f"{stars:,} {name}", *cells])
    return format_rows(["", *map(name_label, labels)], rows)


def _scatter(row: Mapping[str, Any], intervals: bool) -> str:
    text = write_scatter(row, DIGITS[row["label"]])
    if intervals:
        text += f" {100 * row['held']:.0f}, {100 * row['held_after_offset']:.0f} %"
    return text


def make_sun(figures: Mapping[str, Any]) -> str:
    """The Sun at several distances: Teff, log g and mass."""
    rows: dict[str, list[str]] = {}
    distances = dict.fromkeys(row["parsec"] for row in figures["sun"])
    for row in figures["sun"]:
        cell = f"{row['teff']:,.0f} K, {row['logg']:.2f}, {row['mass']:.2f}"
        rows.setdefault(row["bands"], []).append(cell)
    header = ["", *(f"{parsec:g} pc" for parsec in distances)]
    return format_rows(header, [[bands, *cells] for bands, cells in rows.items()])


def make_clusters(figures: Mapping[str, Any]) -> str:
    """Open clusters by age."""
    rows = [
        [
            row["log_age"],
            str(row["clusters"]),
            f"{row['age_bias']:+.2f}",
            f"{row['age_distance']:.2f}",
            f"{row['ebv_bias']:+.2f}",
        ]
        for row in figures["clusters"]
    ]
    header = ["log age", "clusters", "age, bias [dex]", "median distance [dex]"]
    return format_rows([*header, "E(B-V), bias [mag]"], rows)


def make_members(figures: Mapping[str, Any]) -> str:
    """Single members of young clusters, with and without a prior: a row per prior."""
    rows: dict[str, list[str]] = {}
    for row in figures["members"]:
        cell = f"{row['bias']:+.2f}, {row['mad_std']:.2f}, {write_percent(row['held'])}"
        rows.setdefault(f"{row['prior']}, {row['stars']:,} stars", []).append(cell)
    header = ["prior", "age [dex]: bias, MAD-std, in the 68 % interval", "E(B-V) [mag]"]
    return format_rows(header, [[prior, *cells] for prior, cells in rows.items()])


def make_library_spectra(figures: Mapping[str, Any]) -> str:
    """Real spectra that nothing was fitted to, without fine-tuning: a row per library and cut."""
    rows = []
    for row in figures["zero shot"]:
        cells = [
            f"{_write_scatter(row, label)}, {write_percent(row[f'{label} in 68 %'])}"
            for label in SPECTRAL_LABELS
        ]
        rows.append([row["library"].upper(), row["spectra"], str(row["n"]), *cells])
    header = ["library", "spectra", "stars", *map(name_label, SPECTRAL_LABELS)]
    return format_rows(header, rows)


def make_library_learners(figures: Mapping[str, Any]) -> str:
    """Real spectra after learning from real ones: a row per learner."""
    rows = []
    for row in figures["learners"]:
        cells = [_write_scatter(row, label) for label in SPECTRAL_LABELS]
        rows.append([row["stars"].replace("->", "to").upper(), row["who"], *cells])
    header = ["stars", "who", *map(name_label, SPECTRAL_LABELS)]
    return format_rows(header, rows)


def make_survey_precision(figures: Mapping[str, Any]) -> str:
    """Mock surveys, each judged on its own scale: a row per survey and learner."""
    rows = [
        [row["survey"], row["who"], *(write_error(n, row[n]) for n in SPECTRAL_LABELS)]
        for row in figures["precision"]
    ]
    return format_rows(["survey", "who", *map(name_label, SPECTRAL_LABELS)], rows)


def make_survey_agreement(figures: Mapping[str, Any]) -> str:
    """The same mock stars through two surveys: a row per pair, before and after the common scale."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in figures["agreement"]:
        cell = f"{row['bias_sigma']:+.2f}, {row['mad_std_sigma']:.2f}"
        rows.setdefault((row["surveys"], row["scale"]), []).append(cell)
    header = ["surveys", "scale", *map(name_label, SPECTRAL_LABELS)]
    return format_rows(header, [[*key, *cells] for key, cells in rows.items()])


def make_few_stars(figures: Mapping[str, Any]) -> str:
    """A survey that training never saw, by the number of stars in common."""
    rows = [
        [str(row["stars in common"]), row["who"]]
        + [_write_scatter(row, label) for label in SPECTRAL_LABELS]
        for row in figures["few stars"]
    ]
    return format_rows(["stars in common", "who", *map(name_label, SPECTRAL_LABELS)], rows)


def make_variable_classes(figures: Mapping[str, Any]) -> str:
    """Classes of real light curves in five folds: a row per classifier."""
    names = dict.fromkeys(name for sample in figures.values() for name in sample["scores"])
    rows = []
    for name in names:
        cells = []
        for sample in figures.values():
            folds = sample["scores"].get(name, {}).get("accuracy")
            cells.append(f"{sum(folds) / len(folds):.3f}" if folds else "")
        rows.append([name, *cells])
    header = [
        f"{name}, {of['stars']:,} stars, {of['classes']} classes" for name, of in figures.items()
    ]
    return format_rows(["", *header], rows)


def make_variables_of_the_mock(figures: Mapping[str, Any]) -> str:
    """Classes of real light curves by a probe that saw mock ones only: a row per class."""
    rows = []
    for sample, of in figures.items():
        rows.append([sample, "balanced accuracy", f"{of['mock']['accuracy']:.3f}"])
        rows += [
            [sample, name, write_percent(share)] for name, share in of["mock"]["recall"].items()
        ]
    return format_rows(["light curves", "class", "found"], rows)


def make_unknown_variables(figures: Mapping[str, Any]) -> str:
    """How well stars of a class that was left out are told from the others."""
    rows = [
        [sample, name, f"{auc:.2f}"]
        for sample, of in figures.items()
        for name, auc in of["left_out"].items()
    ]
    return format_rows(["light curves", "class left out", "AUC"], rows)


def make_alignment(figures: Mapping[str, Any]) -> str:
    """How often a star is found by its light curve among others known by everything else."""
    rows = []
    for name, recall in figures.items():
        rows.append([name, *(f"{share:.2f}" for share in recall.values())])
    header = ["alignment", *(name.replace("_", " ") for name in next(iter(figures.values())))]
    return format_rows(header, rows)


def make_modalities(figures: Mapping[str, Any]) -> str:
    """Mock giants by what is known of them: MAD-std to the truth, a row per subset."""
    labels = [name for name in HEADLINE if name in next(iter(figures.values()))]
    rows = []
    for name, scores in figures.items():
        rows.append([name, *(write_error(label, scores[label]["mad_std"]) for label in labels)])
    return format_rows(["known", *map(name_label, labels)], rows)


def make_fine_tuning(figures: Mapping[str, Any]) -> str:
    """Real stars after learning from some of them: a row per sample, a column per learner."""
    learners = {
        "lora": "`lora`",
        "trees": "`trees`",
        "multistar": "`auto`",
        "XGBoost": "XGBoost by hand",
        "network": "network from nothing",
        "labels only": "XGBoost from Teff, log g, [Fe/H]",
    }
    rows = []
    for sample, scores in figures["means"].items():
        labels = dict.fromkeys(score["label"] for score in scores)
        names = ", ".join(LABEL_NAMES.get(str(label), str(label)) for label in labels)
        cells = []
        for who in learners:
            own = [score for score in scores if score["who"] == who]
            cells.append(", ".join(write_error(x["label"], x["mad_std"]) for x in own))
        held = [x["coverage"] for x in scores if x["who"] == "lora"]
        rows.append([f"{sample}: {names}", *cells, ", ".join(map(write_percent, held))])
    return format_rows(["learnt from", *learners.values(), "held by `lora`"], rows)


def make_own_survey(figures: Mapping[str, Any]) -> str:
    """Mock giants told by a model of one's own survey: a row per teacher."""
    rows: dict[str, list[str]] = {}
    for score in figures["mock"]:
        rows.setdefault(score["learnt from"], []).append(_write_learnt(score))
    labels = dict.fromkeys(score["label"] for score in figures["mock"])
    names = [name_label(name) if name in QUANTITIES else name for name in labels]
    return format_rows(["learnt from", *names], [[who, *cells] for who, cells in rows.items()])


def make_own_survey_lamost(figures: Mapping[str, Any]) -> str:
    """LAMOST stars told by a model of one's own survey: a row per start."""
    rows: dict[str, list[str]] = {}
    for score in figures["LAMOST"]:
        cell = f"{score['MAD-std']} ({score['in 68 %']}); {score['XGB MAD-std']}"
        rows.setdefault(score["start"], []).append(cell)
    labels = dict.fromkeys(score["label"] for score in figures["LAMOST"])
    return format_rows(["start; XGBoost", *labels], [[who, *cells] for who, cells in rows.items()])


def _write_learnt(score: Mapping[str, Any]) -> str:
    """A scatter, and behind it how many labels the intervals hold, where there are any."""
    held = score.get("coverage")
    text = write_error(score["label"], score["mad_std"])
    return text if held is None else f"{text} ({write_percent(held)})"


def _write_scatter(row: Mapping[str, Any], label: str) -> str:
    sign = "+.0f" if label == "teff" else "+.2f"
    return f"{write_error(label, row[label])} ({row[f'{label} bias']:{sign}})"


def make_speed(figures: Mapping[str, Any]) -> str:
    """Stars per second of CPU time, and how many times those of a network of the predecessor's size."""
    ratios = {
        turn["verb"]: f"{turn['ratio_by_clock']:.1f}"
        for turn in figures["turns"]
        if turn["processes"] == 1
    }
    rows = [
        [verb, f"{figures['verbs'][verb]:,.0f}", ratios.get(verb, "")]
        for verb in SPEED_VERBS
        if verb in figures["verbs"]
    ]
    return format_rows(["", "stars/s of CPU time", "times the predecessor, by the clock"], rows)


# Name of a table -> name of the result, and what makes the table of its figures.
TABLES: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "headline": ("labels", make_headline),
    "labels": ("labels", make_labels),
    "known": ("known", make_known),
    "sky": ("sky", lambda f: make_sky(f, ("teff", "logg", "m_h", "mass", "age"), False)),
    "sky-intervals": ("sky", lambda f: make_sky(f, ("teff", "logg", "m_h", "mass", "age"), True)),
    "sun": ("sky", make_sun),
    "clusters": ("sky", make_clusters),
    "members": ("sky", make_members),
    "xp-response": ("xp_response", make_xp_response),
    "xp-pairs": ("xp_response", make_xp_pairs),
    "sampled": ("sampled_xp", make_sampled),
    "inpainting": ("real_xp", make_inpainting),
    "sun-like": ("real_xp", make_sun_like),
    "flagged": ("real_xp", make_flagged),
    "given": ("given", make_given),
    "dust-maps": ("given", make_dust_maps),
    "reddening": ("reddening", make_reddening),
    "twins": ("domain_shift", make_twins),
    "speed": ("speed", make_speed),
    "library-spectra": ("spectra", make_library_spectra),
    "library-learners": ("spectra", make_library_learners),
    "survey-precision": ("surveys", make_survey_precision),
    "survey-agreement": ("surveys", make_survey_agreement),
    "few-stars": ("surveys", make_few_stars),
    "alignment": ("alignment", make_alignment),
    "modalities": ("modalities", make_modalities),
    "variable-classes": ("variability", make_variable_classes),
    "variables-of-the-mock": ("variability", make_variables_of_the_mock),
    "fine-tuning": ("fine_tuning", make_fine_tuning),
    "own-survey": ("own_survey", make_own_survey),
    "own-survey-lamost": ("own_survey", make_own_survey_lamost),
    "unknown-variables": ("variability", make_unknown_variables),
}
