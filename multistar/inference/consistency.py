"""Do the measurements of a star fit together? Half of them are predicted from the other half."""

import numpy as np
import torch

from encoders import Measurement
from multistar.inference.plausible import has_xp
from multistar.inference.stream import stream_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars

# Neighbouring slots that are hidden together.
RUN = 5
# Normal scores; a value that is farther off is as wrong.
CLIP = 5.0
# With fewer hidden measurements nothing can be said.
FEWEST = 3
# Mean squared score; about 1 % of sound stars are beyond it. With XP most measurements are orders,
# whose errors for the sky hold the mismatch of a typical star; colours alone scatter more.
EDGE, EDGE_OF_SKY = 1.6, 3.5
EDGE_WITHOUT_XP, EDGE_OF_SKY_WITHOUT_XP = 4.0, 7.0


def edges(stars: Stars) -> np.ndarray:
    """Return the score (n,) above which the measurements of a star do not fit together."""
    is_sky = stars.origin == "sky"
    with_xp, without = (EDGE_OF_SKY, EDGE_OF_SKY_WITHOUT_XP) if is_sky else (EDGE, EDGE_WITHOUT_XP)
    return np.where(has_xp(stars), with_xp, without)


@torch.inference_mode()
def mean_squared_score(model: Model, stars: Stars, quiet: bool = False) -> np.ndarray:
    """Judge hidden measurements by what the model expects of them from the others.

    Every other run of RUN neighbouring measurements is hidden.

    Parameters
    ----------
    model : Model
    stars : Stars
    quiet : bool
        Show no progress.

    Returns
    -------
    (n,) float64 ndarray
        The mean squared normal score of each star: 1 on average for stars like the training
        stars, larger where values contradict each other or their errors are too small, NaN where
        fewer than FEWEST measurements can be judged.
    """
    out = np.full(len(stars), np.nan)
    in_hidden_run = [slot for slot in model.vocabulary.askable if (slot // RUN) % 2 == 0]
    labels = torch.tensor(list(model.vocabulary.label_slots))
    every_hidden = torch.tensor(in_hidden_run)
    every_hidden = every_hidden[~torch.isin(every_hidden, labels)]
    for rows, m in stream_measurements(model, stars, "consistency of", quiet):
        # what no star of the batch has costs nothing
        hidden = every_hidden[m.observed[:, every_hidden].any(0).cpu()]
        if not len(hidden):
            continue
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
