"""Labels of new mock giants: a model beside the median, XGBoost and labels alone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from multistar.checks import baselines
from multistar.checks.calibration import energy_score
from multistar.checks.metrics import coverage, scatter
from multistar.inference.predict import predict
from multistar.io.files import atomic_write
from multistar.model.checkpoint import Model
from multistar.stars import Stars, read_stars

EVOLUTIONARY, ATMOSPHERIC = ("mass", "age"), ("teff", "logg", "m_h")
BINS = {
    "phot_g_mean_mag": (11, 12, 13, 14, 15),
    "true_ebv": (0.1, 0.3, 0.8),
    "true_logg": (1.5, 2.3, 2.7),
}
MIN_IN_BIN = 200
JOINT_STARS = 2000
MODEL, XGBOOST = "model", "XGBoost"


@dataclass(frozen=True)
class LabelBenchmark:
    """A model, the stars that baselines learn from, new stars, and where predictions are cached."""

    model: Model
    train: Stars
    test: pa.Table
    cache: Path

    @property
    def names(self) -> Sequence[str]:
        """Labels that the model predicts."""
        return self.model.vocabulary.labels

    def compare(self, parallax: bool) -> dict[str, dict]:
        """Compare the model with the baselines, label by label.

        Residuals are taken against labels as the survey gives them (with its errors, as the
        baselines of the literature are) and against the truth.

        Parameters
        ----------
        parallax
            Whether the model and XGBoost are given parallaxes.

        Returns
        -------
        dict
            Label -> scores of every method, ratios to XGBoost, coverage of the truths by 68 %
            intervals, overall and in the worst bin of G, E(B-V) and logg. The ratio "perfect" is
            what a model that knows all would get against the surveyed labels.
        """
        stars, frame = read_stars(self.test), self.test.to_pandas()
        shown = stars if parallax else leave_out_parallax(stars)
        predicted = predict(self.model, shown).to_pandas()
        guesses = self._predict_baselines(stars, parallax)
        guesses[MODEL] = {name: predicted[name].to_numpy() for name in self.names}
        results = {}
        for name in self.names:
            scores = {}
            for method, guess in guesses.items():
                if name in guess:
                    scores[method] = score_label(name, guess[name], frame)
            results[name] = scores | _compare_with_trees(name, scores, frame)
            results[name] |= _measure_coverage(name, predicted, frame)
        return results

    def score_joint(self, samples: int) -> dict[str, float]:
        """Score joint samples of JOINT_STARS stars against the same, shuffled, by the clock."""
        few = self.test.slice(0, JOINT_STARS)
        begun = time.perf_counter()
        joint = predict(self.model, read_stars(few), samples=samples).to_pandas()
        speed = len(joint) / (time.perf_counter() - begun)
        ratio = compare_energy(joint, few.to_pandas(), self.names)
        return {"energy_ratio": ratio, "stars_per_second": speed, "samples": samples}

    def _predict_baselines(self, test: Stars, parallax: bool) -> dict[str, dict[str, np.ndarray]]:
        left_out = () if parallax else ("parallax",)
        word = "with" if parallax else "without"

        def make_trees() -> dict[str, np.ndarray]:
            title = f"XGBoost {word} parallax"
            return baselines.trees(self.model, self.train, test, self.names, left_out, title)

        def make_labels_only() -> dict[str, np.ndarray]:
            return baselines.from_labels(self.train, test, EVOLUTIONARY, ATMOSPHERIC)

        return {
            "median": baselines.median(self.train, test, self.names),
            "labels only": cache_predictions(self.cache / "labels-only.npz", make_labels_only),
            XGBOOST: cache_predictions(self.cache / f"xgboost-{word}-parallax.npz", make_trees),
        }


def leave_out_parallax(stars: Stars) -> Stars:
    """Return the same stars without parallaxes."""
    scalars = {name: value for name, value in stars.scalars.items() if name != "parallax"}
    return stars.with_blocks(scalars=scalars)


def cache_predictions(path: Path, make: Callable[[], dict]) -> dict[str, np.ndarray]:
    """Read predictions from `path`, or make and keep them: baselines take longer than all else."""
    if not path.exists():
        made = make()
        with atomic_write(path) as temporary:
            np.savez(temporary, **made)
    return dict(np.load(path, allow_pickle=False))


def score_label(name: str, predicted: np.ndarray, frame: pd.DataFrame) -> dict[str, float]:
    """Measure MAD-std to surveyed and true labels, std and bias to the surveyed ones."""
    surveyed = scatter(predicted, frame[name].to_numpy())
    truth = scatter(predicted, frame[f"true_{name}"].to_numpy())
    return {
        "surveyed": surveyed["mad_std"],
        "truth": truth["mad_std"],
        "std": surveyed["std"],
        "bias": surveyed["bias"],
    }


def find_worst_coverage(
    lower: np.ndarray, upper: np.ndarray, truth: np.ndarray, frame: pd.DataFrame
) -> tuple[float, str]:
    """Find the coverage farthest from 0.68 among the BINS of a table, and name that bin."""
    found = []
    for column, edges in BINS.items():
        place = np.searchsorted(edges, frame[column])
        limits = ["", *(str(edge) for edge in edges), ""]
        for i in range(len(edges) + 1):
            rows = place == i
            if rows.sum() >= MIN_IN_BIN:
                inside = coverage(lower[rows], upper[rows], truth[rows])
                found.append((inside, f"{column} {limits[i]}..{limits[i + 1]}"))
    return max(found, key=lambda pair: abs(pair[0] - 0.68))


def compare_energy(samples: pd.DataFrame, frame: pd.DataFrame, names: Sequence[str]) -> float:
    """Divide the energy score of joint samples by that of shuffled ones, labels over their MAD.

    Below 1 the joint posterior knows more than its marginals (Gneiting & Raftery 2007).

    Parameters
    ----------
    samples
        Result of `predict` with samples.
    frame
        The same mock stars with labels and truth.
    """
    rng = np.random.default_rng(0)
    joint, truth = [], []
    for name in names:
        deviation = np.abs(frame[name] - np.median(frame[name]))
        scale = 1.4826 * np.median(deviation)
        joint.append(np.stack(list(samples[f"{name}_samples"])) / scale)
        truth.append(frame[f"true_{name}"].to_numpy() / scale)
    shuffled = [rng.permuted(label, axis=1) for label in joint]
    true = np.stack(truth, -1)
    score = energy_score(np.stack(joint, -1), true).mean()
    return float(score / energy_score(np.stack(shuffled, -1), true).mean())


def _compare_with_trees(name: str, scores: dict, frame: pd.DataFrame) -> dict:
    ours, trees = scores[MODEL], scores[XGBOOST]
    ratios = {key: ours[key] / trees[key] for key in ("surveyed", "truth", "std")}
    perfect = scatter(frame[f"true_{name}"].to_numpy(), frame[name].to_numpy())
    ratios["perfect"] = perfect["mad_std"] / trees["surveyed"]
    return {"ratios": ratios}


def _measure_coverage(name: str, predicted: pd.DataFrame, frame: pd.DataFrame) -> dict:
    truth = frame[f"true_{name}"].to_numpy()
    lower, upper = (predicted[f"{name}_{end}"].to_numpy() for end in ("lower", "upper"))
    worst = find_worst_coverage(lower, upper, truth, frame)
    return {"coverage": coverage(lower, upper, truth), "worst_coverage": list(worst)}
