"""Masses and ages of red giants by the ideas of SPT (Zhang, Wu, Bu et al. 2024, arXiv:2401.04900) beside ours.

    python scripts/ablate_spt.py --train MOCK --test MOCK --out DIR [--part scratch mini kepler] [--real DATA]

MOCK are tables of mock giants (multistar mock --selection kepler-like), 3,880 of them to train on as in the paper, TEST
of another seed. DIR keeps every result as JSON; what is there is not computed again.

scratch   networks of width 64 that begin anew and see these giants alone, as the paper's does: XP, photometry, parallax
mini      the shipped model, its decoder fine-tuned (mode head) on the same giants
kepler    the same on real giants (DATA, one fold of five of evaluate_real.py): spectroscopic labels, photometry,
          parallax

Ours is ordinary attention over patches of XP coefficients and the likelihood of a Gaussian mixture; each row changes
what it names, the last one all that can be. Errors are to the truth of the mock, of real giants to the catalogue; % is
the mean of |error| / value, as the paper quotes. With dropout, both one network, and the mean of 32 thinned ones.
Widths are those of noise-free labels, so that fewer than 68 % of a catalogue's own lie within. Seconds are the CPU's.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from evaluate_real import FOLDS, kepler, kept
from rich.console import Console
from rich.table import Table

from multistar.checks.metrics import coverage, scatter
from multistar.finetune.adapter import Adapter
from multistar.finetune.finetune import finetune
from multistar.finetune.predict import predictions
from multistar.finetune.tune import FinetuneConfig
from multistar.model.checkpoint import Model, load_model, save_model
from multistar.model.network import ModelConfig
from multistar.model.vocabulary import Vocabulary
from multistar.quantities import QUANTITIES
from multistar.stars import Stars, read_stars

DROPOUT, PASSES, COMPONENTS = 0.1, 32, 20
KEPLER_INPUTS = ("teff", "logg", "m_h", "alpha_m")


class Recipe(NamedTuple):
    attention: str = "both"
    components: int = 0  # of XP
    loss: str = "likelihood"
    dropout: float = 0.0


HEAD = {
    "ours": Recipe(),
    "Mahalanobis loss": Recipe(loss="mahalanobis"),
    "dropout": Recipe(dropout=DROPOUT),
    "both": Recipe(loss="mahalanobis", dropout=DROPOUT),
}
SCRATCH = {
    **{name: recipe for name, recipe in HEAD.items() if name != "both"},
    "Hadamard attention": Recipe("hadamard"),
    "20 components of XP": Recipe(components=COMPONENTS),
    "SPT, our reading": Recipe("hadamard", COMPONENTS, "mahalanobis", DROPOUT),
}


def untrained(stars: Stars, recipe: Recipe, folder: Path) -> Model:
    """Random weights, the scales and components of these stars; as many tokens with components as without."""
    config = ModelConfig(
        width=64, encoder_depth=2, decoder_depth=1, attention=recipe.attention, xp_components=recipe.components,
        xp_patch=1 if recipe.components else 5,
    )  # fmt: skip
    model = Model.fresh(config, Vocabulary.of(stars))
    model.standardiser.fit(stars)
    model.network.fit(model.standardiser(stars))
    save_model(model, folder, overwrite=True)
    return model


def measured(
    base: Model, train: Stars, test: Stars, labels: list[str], recipe: Recipe, settings: dict, **how
) -> dict:
    """Fine-tune, predict, compare: for "" and, with dropout, for "32 passes" what `compared` gives."""
    begun = time.process_time()
    config = FinetuneConfig(loss=recipe.loss, dropout=recipe.dropout, **settings)
    adapter = finetune(base, train, labels, config=config, **how)
    said = {"seconds": time.process_time() - begun, "steps": adapter.provenance["steps"]}
    ways = {"": 0} | ({f", {PASSES} passes": PASSES} if recipe.dropout else {})
    return {way: compared(adapter, test, labels, passes) | said for way, passes in ways.items()}


def compared(adapter: Adapter, test: Stars, labels: list[str], passes: int) -> dict:
    """Errors by label, and stars per second of the processor."""
    begun = time.process_time()
    found = predictions(adapter, test, passes=passes)
    out: dict = {"speed": len(test) / (time.process_time() - begun)}
    for name in labels:
        truth = test.extra.get(f"true_{name}", test.scalars[name].value)
        guess, lower, upper = (found[name + suffix][0] for suffix in ("", "_lower", "_upper"))
        known = np.isfinite(truth)
        out[name] = scatter(guess, truth) | {
            "percent": float(100 * np.mean(np.abs(guess / truth - 1)[known])),
            "coverage": coverage(lower[known], upper[known], truth[known]),
            "width": float(np.median((upper - lower) / 2)),
        }
    return out


def show(title: str, results: dict[str, list[dict]], labels: list[str]) -> None:
    """Means over the seeds."""
    per_label = ["MAD-std", "std", "%", "width", "in 68 %"]
    table = Table(title=title)
    for name in (
        "",
        *(f"{label} {what}" for label in labels for what in per_label),
        "train [s]",
        "stars/s",
    ):
        table.add_column(name, justify="left" if not name else "right")
    for variant, runs in results.items():
        cells = []
        for label in labels:
            mean = {key: np.mean([run[label][key] for run in runs]) for key in runs[0][label]}
            cells += [
                f"{mean[k]:.{digits}g}"
                for k, digits in (("mad_std", 3), ("std", 3), ("percent", 3), ("width", 3))
            ]
            cells.append(f"{mean['coverage']:.0%}")
        cells += [f"{np.mean([run[key] for run in runs]):.0f}" for key in ("seconds", "speed")]
        table.add_row(variant, *cells)
    Console(width=200).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--out", required=True, help="folder for the JSON of every run")
    parser.add_argument(
        "--part", nargs="*", default=["scratch", "mini"], choices=("scratch", "mini", "kepler")
    )
    parser.add_argument("--real", help="kepler: folder of the real tables")
    parser.add_argument(
        "--labels", nargs="*", default=["mass", "age"], choices=list(QUANTITIES), metavar="LABEL"
    )
    parser.add_argument("--steps", type=int, default=1200, help="scratch: at most")
    parser.add_argument("--rate", type=float, default=2e-3, help="scratch: learning rate")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    args = parser.parse_args()
    out, train, test = Path(args.out), read_stars(args.train), read_stars(args.test)
    out.mkdir(parents=True, exist_ok=True)

    def table(part: str, title: str, recipes: dict[str, Recipe], make) -> None:
        results: dict[str, list[dict]] = {}
        for seed in args.seeds:
            for variant, recipe in recipes.items():
                path = (
                    out / f"{part}-{'-'.join(args.labels)}-{variant.replace(' ', '_')}-{seed}.json"
                )
                for way, result in kept(
                    path, lambda recipe=recipe, seed=seed: make(recipe, seed)
                ).items():
                    results.setdefault(variant + way, []).append(result)
        show(f"{title}, {len(args.seeds)} seeds", results, args.labels)

    def from_scratch(recipe: Recipe, seed: int) -> dict:
        torch.manual_seed(seed)
        settings = {"steps": args.steps, "learning_rate": args.rate, "seed": seed}
        base = untrained(train, recipe, out / "untrained")
        return measured(base, train, test, args.labels, recipe, settings, mode="full")

    def of_mini(recipe: Recipe, seed: int) -> dict:
        return measured(
            load_model("mini"), train, test, args.labels, recipe, {"seed": seed}, mode="head"
        )

    def of_kepler(recipe: Recipe, seed: int) -> dict:
        frame = kepler(Path(args.real))
        first = np.random.default_rng(0).permutation(len(frame)) % FOLDS == 0
        others, held_out = (
            read_stars(frame[which].reset_index(drop=True)) for which in (~first, first)
        )
        how = {"mode": "head", "inputs": KEPLER_INPUTS}
        return measured(
            load_model("mini"), others, held_out, args.labels, recipe, {"seed": seed}, **how
        )

    if "scratch" in args.part:
        table(
            "scratch",
            f"{len(train)} mock giants from scratch, {len(test)} others",
            SCRATCH,
            from_scratch,
        )
    if "mini" in args.part:
        table(
            "mini", f"mini's decoder, {len(train)} mock giants, {len(test)} others", HEAD, of_mini
        )
    if "kepler" in args.part:
        table("kepler", "mini's decoder, real Kepler giants", HEAD, of_kepler)


if __name__ == "__main__":
    main()
