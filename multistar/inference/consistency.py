"""Do the measurements of a star fit together? Half of them are predicted from the other half."""

import numpy as np
import torch

from encoders import Measurement
from multistar.inference.stream import stream_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars

RUN = 5  # neighbouring slots that are hidden together
CLIP = 5.0  # normal scores; farther is as wrong
FEWEST = 3  # hidden measurements, without which nothing can be said
EDGE = 2.0  # mean squared score: fewer than 1 % of mock stars are beyond it


@torch.inference_mode()
def mean_squared_score(model: Model, stars: Stars, quiet: bool = False) -> np.ndarray:
    """(n,) mean squared normal score of hidden measurements under what the model expects from the others.

    1 on average for stars like the training stars, larger where values contradict each other or their errors are
    too small; NaN with fewer than FEWEST to judge. Runs of RUN neighbouring measurements are hidden in turn.
    """
    out = np.full(len(stars), np.nan)
    hidden = torch.tensor([s for s in model.vocabulary.askable if (s // RUN) % 2 == 0])
    hidden = hidden[~torch.isin(hidden, torch.tensor(list(model.vocabulary.label_slots)))]
    for rows, m in stream_measurements(model, stars, "consistency of", quiet):
        shown = m.observed.clone()
        shown[:, hidden] = False
        memory = model.network.encode(Measurement(m.value, m.sigma, shown))
        mixture = model.network.decode(memory, hidden.to(m.value.device))
        level = mixture.cdf(m.value[:, hidden], torch.nan_to_num(m.sigma[:, hidden]))
        score = torch.special.ndtri(level.double()).clamp(-CLIP, CLIP)
        judged = m.observed[:, hidden] & shown.any(1, keepdim=True)
        number = judged.sum(1)
        mean = torch.where(judged, score**2, 0).sum(1) / number
        out[rows] = torch.where(number >= FEWEST, mean, torch.nan).cpu().numpy()
    return out
