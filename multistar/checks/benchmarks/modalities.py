"""What light curves tell of mock giants beside XP, photometry and parallax."""

from dataclasses import dataclass

import pyarrow as pa

from multistar.checks.baselines import trees
from multistar.checks.metrics import coverage, scatter
from multistar.inference.predict import predict
from multistar.model.checkpoint import Model
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

LABELS = ("teff", "logg", "m_h", "mass", "age")


@dataclass(frozen=True)
class Subsets:
    """The same stars with all that is known of them, and with parts of it."""

    everything: Stars
    light_curve: Stars
    without_light_curve: Stars
    photometry: Stars


def make_subsets(stars: Stars) -> Subsets:
    """Leave out what each subset must not know; photometry is the magnitudes alone."""
    bare = stars.with_blocks(light_curve=None)
    magnitudes = {}
    for name, scalar in stars.scalars.items():
        if QUANTITIES[name].kind == "magnitude":
            magnitudes[name] = scalar
    return Subsets(
        everything=stars,
        light_curve=stars.with_blocks(scalars=None, xp=None),
        without_light_curve=bare,
        photometry=bare.with_blocks(xp=None, scalars=magnitudes),
    )


def score_predictions(model: Model, stars: Stars, test: pa.Table) -> dict[str, dict]:
    """Measure MAD-std to the truth and the share of truths in the 68 % interval, by label."""
    predicted = predict(model, stars, quiet=True)
    scores = {}
    for name in LABELS:
        truth = test[f"true_{name}"].to_numpy()
        low, high = (predicted[f"{name}_{end}"].to_numpy() for end in ("lower", "upper"))
        spread = scatter(predicted[name].to_numpy(), truth)["mad_std"]
        scores[name] = {"mad_std": spread, "coverage": coverage(low, high, truth)}
    return scores


def benchmark_modalities(
    alone: Model, core: Model, fused: Model | None, test: pa.Table
) -> dict[str, dict]:
    """Score each model on what it can read of the test stars.

    Parameters
    ----------
    alone, core, fused
        A model of light curves alone, one without light curves, and one of all modalities.
    test
        Mock stars with light-curve views and true labels.

    Returns
    -------
    dict
        Model and inputs, in words -> label -> mad_std and coverage.
    """
    stars = make_subsets(read_stars(test))
    tasks = [
        ("light curve", alone, stars.light_curve),
        ("XP, photometry, parallax", core, stars.without_light_curve),
        ("photometry", core, stars.photometry),
    ]
    if fused is not None:
        tasks += [
            ("fused model: light curve", fused, stars.light_curve),
            ("fused model: without light curve", fused, stars.without_light_curve),
            ("fused model: photometry", fused, stars.photometry),
            ("fused model: all", fused, stars.everything),
        ]
    return {name: score_predictions(model, part, test) for name, model, part in tasks}


def score_boosted_trees(model: Model, train: pa.Table, test: pa.Table) -> dict[str, dict]:
    """Score XGBoost on the slots of the light-curve view that `model` reads; no intervals."""
    learnt_from = read_stars(train).with_blocks(xp=None)
    tested = make_subsets(read_stars(test)).light_curve
    guess = trees(model, learnt_from, tested, LABELS)
    scores = {}
    for name in LABELS:
        spread = scatter(guess[name], test[f"true_{name}"].to_numpy())["mad_std"]
        scores[name] = {"mad_std": spread}
    return scores
