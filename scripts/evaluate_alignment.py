"""Light curve -> the same star among others by XP, photometry and parallax, and back: recall beside chance.

    python scripts/evaluate_alignment.py MODEL --train MOCK --test MOCK [--pairs 2000]

MOCK are tables with light-curve views, TEST of another seed. The model's own alignment stands beside alignments of
each kind that are learnt anew, from the same embeddings of TRAIN (encoders as they are, STEPS steps of 512 pairs), and
beside a linear map fitted by least squares.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table

from multistar.inference.views import embed_views
from multistar.model.alignment import LOSSES, Alignment
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars

STEPS, BATCH, RATE = 1500, 512, 3e-3
RANKS = (1, 10)


def recall(first: torch.Tensor, second: torch.Tensor) -> list[float]:
    """Shares of the pairs whose other view is among the nearest 1 and 10 of all, first -> second and back."""
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    out = []
    for matrix in (similarity, similarity.T):
        place = (matrix > matrix.diagonal()[:, None]).sum(1)
        out += [float((place < rank).float().mean()) for rank in RANKS]
    return out


def learnt(kind: str, e1: torch.Tensor, e2: torch.Tensor, seed: int = 0) -> Alignment:
    torch.manual_seed(seed)
    alignment = Alignment(e1.shape[1], kind)
    optimiser = torch.optim.AdamW(alignment.parameters(), RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in track(range(STEPS), kind):
        rows = torch.randint(len(e1), (BATCH,))
        optimiser.zero_grad()
        alignment.loss(e1[rows], e2[rows]).backward()
        optimiser.step()
        schedule.step()
    return alignment.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--train-pairs", type=int, default=20000)
    args = parser.parse_args()
    model = load_model(args.model)
    sets = []
    for path, n in ((args.train, args.train_pairs), (args.test, args.pairs)):
        seen = embed_views(model, read_stars(path).select(slice(0, n)), quiet=False)
        whole = np.isfinite(seen.curve).all(1) & np.isfinite(seen.rest).all(1)
        sets.append([torch.from_numpy(x[whole]) for x in (seen.curve, seen.rest, *seen.aligned)])
    (train1, train2, *_), (e1, e2, p1, p2) = sets
    table = Table(title=f"{len(e1)} pairs: the other view of a star among the nearest")
    for name in ("alignment", "curve -> rest @1", "@10", "rest -> curve @1", "@10"):
        table.add_column(name, justify="right")
    rows = {
        "chance": [rank / len(e1) for rank in RANKS] * 2,
        f"the model's own ({model.config.alignment})": recall(p1, p2),
        "none (embeddings as they are)": recall(e1, e2),
    }
    center = train1.mean(0), train2.mean(0)
    fit = torch.linalg.lstsq(train1 - center[0], train2 - center[1], driver="gelsd").solution
    rows["least squares, curve -> rest"] = recall((e1 - center[0]) @ fit, e2 - center[1])
    for kind in LOSSES:
        alignment = learnt(kind, train1, train2)
        with torch.no_grad():
            rows[f"{kind}, learnt from the same embeddings"] = recall(*alignment(e1, e2))
    for name, values in rows.items():
        table.add_row(name, *(f"{v:.4f}" for v in values))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
