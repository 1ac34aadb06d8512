"""Classes of real light curves by a classifier that has seen mock stars only, embeddings in between.

What it gets wrong is where the mock is not the sky, or where the embedding does not tell.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.metrics import balanced_accuracy_score

from multistar.inference.embed import embed
from multistar.mock.light_curves import with_views
from multistar.mock.survey import SurveyConfig, survey
from multistar.mock.variability.close_binaries import LOBE_FILLED, lobe_radius
from multistar.model.checkpoint import Model
from multistar.stars import read_stars

SEED = 871  # of mock stars that no model was trained on
MOST_MOCK = 6000  # stars of each selection
SELECTIONS = ("pulsators", "close-binaries")


def _call_all(names: tuple[str, ...], kind: str) -> dict[str, str]:
    return dict.fromkeys(names, kind)


# Class of the mock -> class of a survey; stars of classes without an entry teach nothing.
ECLIPSING = ("contact", "semidetached", "detached")
GAIA_CLASSES = (
    _call_all(("rrab", "rrc", "rrd"), "RR")
    | _call_all(("cepheid", "cepheid_1o", "cepheid_ii"), "CEP")
    | _call_all(("delta_scuti", "hads", "sx_phe", "gamma_dor"), "DSCT|GDOR|SXPHE")
    | _call_all(("lpv", "osarg", "mira"), "LPV")
    | _call_all(ECLIPSING, "ECL")
)
ASAS_CLASSES = _call_all(ECLIPSING, "eclipsing") | {
    "hads": "Delta Scuti",
    "mira": "Mira",
    "rrab": "RR Lyrae, Fundamental Mode",
    "rrc": "RR Lyrae, First Overtone",
    "alpha2_cvn": "Alpha2 Canum Venaticorum",
}
# Class of ASAS -> the one that mock stars can teach.
ASAS_MERGED = _call_all(
    ("Close Binary Eclipsing Systems", "Contact Systems", "Detached", "Semidetached"), "eclipsing"
)


def score_mock_teacher(
    model: Model,
    embedding: np.ndarray,
    kinds: np.ndarray,
    survey_name: str,
    make: Any,
    stars: int = MOST_MOCK,
) -> dict[str, Any]:
    """Teach a classifier on embeddings of mock variables and ask it for real ones.

    Parameters
    ----------
    model : Model
        That made the embeddings.
    embedding : (n, d) array
        Of the real stars.
    kinds : (n,) array of str
        Their classes.
    survey_name : str
        "gaia" or "asas", whose sampling and noise the mock light curves have.
    make : callable
        Makes the classifier.
    stars : int
        Number of mock stars of each selection.

    Returns
    -------
    dict
        `accuracy`, balanced over the classes, and `recall` by class.
    """
    classes = GAIA_CLASSES if survey_name == "gaia" else ASAS_CLASSES
    taught, names = _embed_mock(model, survey_name, classes, stars)
    classifier = make().fit(taught, names)
    truth = np.array([ASAS_MERGED.get(str(kind), str(kind)) for kind in kinds])
    known = np.isin(truth, np.unique(names))
    truth = truth[known]
    share = np.array([np.mean(names == name) for name in classifier.classes_])
    odds = classifier.predict_proba(embedding[known]) / share
    guess = classifier.classes_[odds.argmax(1)]
    recall = {name: float(np.mean(guess[truth == name] == name)) for name in np.unique(truth)}
    return {"accuracy": float(balanced_accuracy_score(truth, guess)), "recall": recall}


def _embed_mock(
    model: Model, mission: str, classes: dict[str, str], stars: int
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (m, d) of mock variables by their light curves alone, and their classes (m,)."""
    vectors, names = [], []
    for selection in SELECTIONS:
        table = pa.concat_tables(survey(stars, SurveyConfig(SEED, selection)))
        kinds = mock_classes(table)
        table = table.filter(pa.array(np.isin(kinds, list(classes))))
        seen = with_views(table, mission, SEED)
        seen = seen.select(["source_id", "light_curve_value", "light_curve_sigma"])
        known = embed(model, read_stars(seen, origin="mock"), quiet=True)
        vectors.append(np.stack(known["embedding"].to_pylist()))
        names += [classes[kind] for kind in mock_classes(table)]
    vectors = np.concatenate(vectors)
    seen = np.isfinite(vectors).all(1)
    return vectors[seen], np.array(names)[seen]


def mock_classes(table: pa.Table) -> np.ndarray:
    """Return the class (n,) of each star of a mock survey: how it varies, "" if it does not.

    Pairs are "contact", "semidetached", or "detached" where they eclipse.
    """
    kinds = np.array(table["variability"].to_pylist(), dtype="U12")
    axis, ratio = table["scaled_axis"].to_numpy(), table["mass_ratio"].to_numpy()
    radius_2 = table["radius_ratio"].to_numpy() / axis
    contact = np.isfinite(table["fill_out"].to_numpy())
    filled = radius_2 > LOBE_FILLED * lobe_radius(ratio)
    eclipsing = table["eclipsing"].to_numpy(zero_copy_only=False)
    kinds[(kinds == "") & eclipsing & ~filled] = "detached"
    kinds[filled & ~contact] = "semidetached"
    kinds[contact] = "contact"
    return kinds
