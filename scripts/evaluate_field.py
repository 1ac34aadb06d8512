"""Real Gaia XP stars through predict, embed and search: rows, flags, speed, memory, and a test against colours.

    python scripts/evaluate_field.py STARS.fits --model DIR

The temperatures are compared with those that the BP-RP colour of the same spectra gives (not
dereddened, metallicity of the prediction), so only the correlation means something.
"""

import argparse
import resource
import time
from collections import Counter

import numpy as np
from scipy.stats import spearmanr

from multistar.api import MultiStar
from multistar.checks.colour_teff import teff_from_colour
from multistar.index.embeddings import Embeddings
from multistar.index.star_index import StarIndex
from multistar.modalities.gaia_xp.synthesis import synthetic_magnitudes
from multistar.stars import read_stars


def timed(task, *args):
    begun = time.perf_counter()
    result = task(*args)
    return result, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stars", help="table with XP coefficients")
    parser.add_argument("--model", required=True)
    args = parser.parse_args()
    model = MultiStar.from_pretrained(args.model)
    stars, seconds = timed(read_stars, args.stars)
    n = len(stars)
    print(f"read     {n} stars in {seconds:.2f} s; BP orders in use: median {_orders(stars, 'bp')}")
    model.predict(stars.select(slice(0, 256)))  # warm up
    labels, seconds = timed(model.predict, stars)
    print(f"predict  {len(labels)} rows, {n / seconds:.0f} stars/s")
    vectors, seconds = timed(model.embed, stars)
    print(f"embed    {len(vectors)} rows, {n / seconds:.0f} stars/s")
    embeddings, left_out = Embeddings.from_table(vectors).searchable()
    index = StarIndex.build(embeddings)
    found, seconds = timed(index.neighbours, embeddings.source_id, 10)
    print(
        f"search   10 neighbours of {len(index)} stars ({left_out} left out): {len(found)} rows in {seconds:.2f} s"
    )
    print(
        f"order    ids in = ids out: {labels['source_id'].to_pylist() == stars.source_id.tolist()}"
    )
    for words, count in Counter(labels["status"].to_pylist()).most_common():
        print(f"status   {100 * count / n:5.1f} %  {words}")
    inside = np.array(["outside_training" not in words for words in labels["status"].to_pylist()])
    magnitudes = synthetic_magnitudes(stars.xp)
    colour = magnitudes["bp"] - magnitudes["rp"]
    teff = labels["teff"].to_numpy()
    from_colour = teff_from_colour(colour, np.clip(labels["m_h"].to_numpy(), -2.5, 0.5))
    usable = np.isfinite(from_colour) & (colour > 0.3) & (colour < 3)
    for name, rows in (("all stars", usable), ("inside training", usable & inside)):
        if rows.sum() > 10:
            pearson = np.corrcoef(teff[rows], from_colour[rows])[0, 1]
            spearman = spearmanr(teff[rows], from_colour[rows])[0]
            print(
                f"Teff     {name}: {rows.sum()} stars, Pearson r {pearson:.3f}, Spearman {spearman:.3f}"
            )
    twins = _neighbour_colours(found, stars, colour)
    print(
        f"colour   median |BP-RP difference| {twins[0]:.3f} mag to the nearest star, {twins[1]:.3f} to a random one"
    )
    print(f"memory   peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def _orders(stars, band: str) -> float:
    return float(np.median(np.isfinite(stars.xp[band].value).sum(1)))


def _neighbour_colours(found, stars, colour: np.ndarray) -> tuple[float, float]:
    place = {int(i): row for row, i in enumerate(stars.source_id)}
    first = found.filter(np.asarray(found["rank"]) == 1)
    a, b = ([place[i] for i in first[name].to_pylist()] for name in ("query_id", "neighbour_id"))
    shuffled = np.random.default_rng(0).permutation(b)
    return float(np.nanmedian(np.abs(colour[a] - colour[b]))), float(
        np.nanmedian(np.abs(colour[a] - colour[shuffled]))
    )


if __name__ == "__main__":
    main()
