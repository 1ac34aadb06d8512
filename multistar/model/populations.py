"""Populations that a prior can assume instead of the training stars: how much more probable labels are in them.

A posterior of the network assumes that a star is drawn like the training stars. To assume another
population k, draws x of the posterior are weighted by p_k(x) / p(x), with p = sum_j share_j p_j of
the training stars. A classifier of the populations by their stars' labels, learnt with as many stars
of each, gives c_j = p_j / sum_i p_i, and so the ratio c_k / sum_j share_j c_j. It is at most
1 / share_k: no draw of a population that was trained on can take all the weight. One that was not
has a share of 0, and is told where the others have its kinds of stars.

Shape letters: p population, f label, B star, n draw.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from multistar.io.files import atomic_write
from multistar.modalities.scalars.transforms import to_even_scale
from multistar.quantities import QUANTITIES

# What makes a population. Distance and dust are left out: how far a survey sees is no prior of ours.
# Temperature and gravity follow from these.
LABELS = ("m_h", "alpha_m", "mass", "age")
SYNONYMS = {"giants": "apogee-like"}
WIDTH = 64
FORMAT = 1
FILE = "populations.safetensors"


def make_classifier(populations: int, labels: int = len(LABELS)) -> nn.Sequential:
    """Make the network that tells populations by standardised labels."""
    return nn.Sequential(
        nn.Linear(labels, WIDTH),
        nn.SiLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.SiLU(),
        nn.Linear(WIDTH, populations),
    )


@dataclass(frozen=True)
class Populations:
    """Populations of the training stars of one model.

    Attributes
    ----------
    names : tuple of str
        Of p populations: selections of the mock survey.
    share : (p,) Tensor
        Of the training stars.
    center, scale : (f,) Tensor
        Of the labels, on the scales of the model.
    classifier : nn.Sequential
    model_sha256 : str
        Of the model that was trained on these stars.
    labels : tuple of str
        The f labels that the classifier reads.
    """

    names: tuple[str, ...]
    share: Tensor
    center: Tensor
    scale: Tensor
    classifier: nn.Sequential
    model_sha256: str
    labels: tuple[str, ...] = LABELS

    def find(self, name: str) -> int:
        """Return the place of a population; ValueError for what is none."""
        known = SYNONYMS.get(name, name)
        if known not in self.names:
            raise ValueError(
                f"no population is called {name!r}; the model knows {', '.join(self.names)}"
            )
        return self.names.index(known)

    @torch.inference_mode()
    def weigh(self, name: str, draws: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weigh draws of posteriors so that they assume a population.

        Parameters
        ----------
        name : str
            Of the population.
        draws : mapping of str to (B, n) ndarray
            Label -> draws in its unit; all that the classifier reads.

        Returns
        -------
        (B, n) float64 ndarray
            Weights of each star's draws, of sum 1.

        Raises
        ------
        ValueError
            For an unknown population.
        """
        place = self.find(name)
        z = (to_features(draws, self.labels) - self.center) / self.scale
        logit = self.classifier(z.float()).double()
        # c_k / sum_j share_j c_j, in logarithms
        everyone = torch.logsumexp(logit + self.share.double().log(), -1)
        return (logit[..., place] - everyone).softmax(-1).numpy()


def to_features(values: Mapping[str, np.ndarray], labels: Sequence[str] = LABELS) -> Tensor:
    """Stack labels, on the scales of the model, along the last axis."""
    columns = [
        to_even_scale(QUANTITIES[name], np.asarray(values[name], np.float64)) for name in labels
    ]
    return torch.from_numpy(np.stack(columns, -1))


def save_populations(populations: Populations, path: str | Path, overwrite: bool = False) -> None:
    """Write one safetensors file, whose header holds the rest as JSON; atomically."""
    about = {
        "format": FORMAT,
        "names": populations.names,
        "labels": populations.labels,
        "model": populations.model_sha256,
    }
    tensors = {name: getattr(populations, name) for name in ("share", "center", "scale")}
    tensors |= {f"classifier.{k}": v for k, v in populations.classifier.state_dict().items()}
    with atomic_write(path, overwrite) as temporary:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={"populations": json.dumps(about)})
        temporary.chmod(0o644)  # safetensors writes for the owner alone


def load_populations(path: str | Path, model_sha256: str) -> Populations:
    """Read what `save_populations` wrote.

    Raises
    ------
    ValueError
        If it is none, or one of another model than that of the hash.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["populations"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        labels = tuple(about["labels"])
        if about["format"] != FORMAT or not set(labels) <= set(QUANTITIES):
            raise KeyError(f"format {about['format']!r} and labels {about['labels']}")
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise KeyError("numbers that are not finite")
        names = tuple(str(name) for name in about["names"])
        classifier = make_classifier(len(names), len(labels))
        own = {
            name.removeprefix("classifier."): tensor
            for name, tensor in tensors.items()
            if name.startswith("classifier.")
        }
        classifier.load_state_dict(own, strict=True)
        share, center, scale = (tensors[name] for name in ("share", "center", "scale"))
        if share.shape != (len(names),) or not center.shape == scale.shape == (len(labels),):
            raise KeyError("arrays of other sizes")
    except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: not readable as populations ({str(error)[:100]}); make them again: "
            "python scripts/fit_populations.py"
        ) from error
    if about["model"] != model_sha256:
        raise ValueError(
            f"{path}: made for the model {str(about['model'])[:12]}, this one is "
            f"{model_sha256[:12]}; delete it and make it again: python scripts/fit_populations.py"
        )
    return Populations(names, share, center, scale, classifier, model_sha256, labels)
