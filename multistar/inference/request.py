"""What is asked of a prediction, checked before anything is computed."""

from dataclasses import dataclass, field

from multistar.inference.given import Given
from multistar.model.checkpoint import Model
from multistar.model.populations import Populations


@dataclass(frozen=True)
class Request:
    """What is asked of a prediction; the attributes are parameters of `predict`."""

    samples: int = 0
    seed: int = 0
    consistency: bool = False
    labels: tuple[str, ...] = ()
    given: Given = field(default_factory=dict)
    prior: str | None = None

    def __post_init__(self):
        if self.samples < 0 or self.samples == 1:
            raise ValueError(
                f"samples={self.samples} must be 0 (none) or at least 2, so that a covariance "
                "exists"
            )

    def names(self, model: Model) -> tuple[str, ...]:
        """Return the labels that come out; ValueError if the model lacks one, or one is doubled."""
        known = model.vocabulary.labels
        if unknown := [name for name in self.labels if name not in known]:
            raise ValueError(
                f"labels {unknown} are none of this model's, which are {', '.join(known)}"
            )
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels {list(self.labels)} name one of them twice")
        return self.labels or known

    def populations(self, model: Model) -> Populations | None:
        """Return the model's populations if a prior is asked for; ValueError if it has none such."""
        if self.prior is None:
            return None
        if model.populations is None:
            raise ValueError(
                f"the model {model.hash[:12]} knows no populations, so prior={self.prior!r} cannot "
                "be assumed; make them: python scripts/fit_populations.py"
            )
        needed = model.populations.labels
        if missing := [name for name in needed if name not in model.vocabulary.labels]:
            raise ValueError(
                f"a prior needs a model with the labels {', '.join(needed)}; this one has no "
                f"{', '.join(missing)}"
            )
        model.populations.find(self.prior)
        return model.populations
