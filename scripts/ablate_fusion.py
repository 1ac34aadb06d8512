"""Small models that differ in how light curves meet other data, trained alike: attention and alignment.

    python scripts/ablate_fusion.py --train MOCK --test MOCK --out DIR [--steps 1500]

MOCK are tables with light-curve views, TEST of another seed. Each model has width 64 and begins anew; a finished one is
not trained again. 'across' lets tokens see other modalities alone, 'within' their own alone, 'both' all; the alignments
are those of multistar/model/alignment.py. Small models, few steps: the table compares its rows, nothing else.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from evaluate_alignment import recall
from rich.console import Console
from rich.table import Table

from multistar.api import MultiStar
from multistar.checks.metrics import scatter
from multistar.inference.views import embed_views
from multistar.model.network import ModelConfig
from multistar.stars import read_stars
from multistar.training.pretrain import pretrain
from multistar.training.run import DataConfig, RunConfig, TrainingConfig

VARIANTS = (
    ("both", "dual"), ("within", "dual"), ("across", "dual"), ("both", "free"), ("both", "vicreg"), ("both", "clip"),
)  # fmt: skip
LABELS = ("teff", "logg", "m_h", "mass", "age")


def run(train: str, out: Path, attention: str, alignment: str, steps: int) -> MultiStar:
    folder = out / f"{attention}-{alignment}"
    if not folder.exists():
        model = ModelConfig(
            width=64, encoder_depth=2, decoder_depth=1, xp_patch=11, light_curve_depth=1, attention=attention,
            alignment=alignment,
        )  # fmt: skip
        training = TrainingConfig(steps=steps, batch=64, learning_rate=5e-3)
        pretrain(RunConfig(str(folder), DataConfig([train]), model, training))
    return MultiStar.from_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--out", required=True, help="folder for the models")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pairs", type=int, default=2000)
    args = parser.parse_args()
    part = pq.read_table(args.test).slice(0, args.pairs)
    test = read_stars(part)
    table = Table(
        title=f"{len(part)} mock stars, {args.steps} steps: MAD-std to the truth; recall of the other view"
    )
    for name in (
        "attention",
        "alignment",
        *LABELS,
        "curve -> rest @1",
        "@10",
        "rest -> curve @1",
        "@10",
    ):
        table.add_column(name, justify="right")
    for attention, alignment in VARIANTS:
        model = run(args.train, Path(args.out), attention, alignment, args.steps)
        guess, seen = model.predict(test), embed_views(model.model, test)
        spread = [
            scatter(guess[n].to_numpy(), part[f"true_{n}"].to_numpy())["mad_std"] for n in LABELS
        ]
        p1, p2 = (np.nan_to_num(p) for p in seen.aligned)
        found = recall(torch.from_numpy(p1), torch.from_numpy(p2))
        table.add_row(
            attention, alignment, *(f"{x:.4g}" for x in spread), *(f"{x:.3f}" for x in found)
        )
        Console(width=150).print(table)


if __name__ == "__main__":
    main()
