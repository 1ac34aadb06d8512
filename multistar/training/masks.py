"""What is shown to the model and what is asked of it, drawn anew for every star at every step.

Shape letters: B star, Q asked slot, N slot of a sequence, J star that trains the joint mode.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from encoders import Measurement
from multistar.modalities.modality import Hiding, draw_coins
from multistar.model.vocabulary import Vocabulary

MOST_LABELS = 0.7  # the largest share of the labels that are shown at once
FEWEST_TO_GENERATE = 0.4  # the smallest share of the labels that spectra are generated from
OUTLIER = 30.0  # standardised; farther targets are faults of the data and say nothing


@dataclass(frozen=True)
class MaskingConfig:
    """How often something is shown or hidden. What hides single modalities is in `[hiding.NAME]`."""

    complete: float = 0.4  # share of the stars that show everything that was measured
    labels: float = 0.4  # share of the batches that show some labels
    generate: float = 0.12  # share of the batches that generate: labels are what is known
    no_g: float = (
        0.08  # share of the batches without G, where colours are relative to the mean band
    )
    no_errors: float = 0.05  # share of the stars without errors, as tables come that have none
    some_errors: float = 0.15  # share of the stars of which every other scalar has no error
    measurements: float = 0.5  # share of the batches whose sequences hold more than labels
    blur: float = 0.5  # share of the given values that get more noise than they have
    blur_least: float = 0.02  # size of that noise, log-uniform, standardised
    blur_most: float = 1.0
    like_the_sky: float = (
        0.5  # share of the mock stars that are made as unlike the mock as real ones
    )
    mismatch_least: float = 0.3  # by how much, log-uniform, in units of the measured mismatch
    mismatch_most: float = 1.5

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < 0 or (value > 1 and name != "mismatch_most"):
                raise ValueError(f"masking.{name}={value} must lie between 0 and 1")
        for name in ("blur", "mismatch"):
            if not 0 < getattr(self, f"{name}_least") <= getattr(self, f"{name}_most"):
                raise ValueError(f"masking.{name}_least must be above 0 and at most {name}_most")


@dataclass(frozen=True)
class Split:
    """What one step shows and asks. The last J stars train the joint mode, the others the marginals.

    Attributes
    ----------
    context : Measurement
        (B, n_slots); hidden slots are unobserved.
    asked : (B, n_slots) bool Tensor
        True where a hidden value is known, so that it can be asked.
    query : (Q,) Tensor
        Slots whose marginals are asked.
    order : (N,) Tensor
        Slots of the joint mode, in the order of the chain rule.
    given : Measurement
        (J, N) their values, as later targets are given them.
    """

    context: Measurement
    asked: Tensor
    query: Tensor
    order: Tensor
    given: Measurement

    def to(self, device: torch.device) -> "Split":
        """The same on a device."""
        return Split(*(x.to(device) for x in vars(self).values()))


def draw_log_uniform(shape: tuple[int, ...], low: float, high: float, generator) -> Tensor:
    """Random numbers between low and high whose logarithms are uniform."""
    start, width = math.log(low), math.log(high / low)
    return torch.exp(start + width * torch.rand(shape, generator=generator))


def draw_mismatch_sizes(n: int, config: MaskingConfig, generator: torch.Generator) -> Tensor:
    """(n, 1) how large the mismatch with the sky is made, 0 for some stars."""
    size = draw_log_uniform((n, 1), config.mismatch_least, config.mismatch_most, generator)
    return torch.where(draw_coins(n, config.like_the_sky, generator), size, 0)


class Splitter:
    """Draws context and targets for a batch; all randomness comes from one generator, so runs resume exactly."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        scale: Tensor,
        n_queries: int,
        joint_share: float,
        generator: torch.Generator,
        masking: MaskingConfig | None = None,
        hiding: Mapping[str, Hiding] | None = None,
    ):
        """Parameters
        ----------
        vocabulary : Vocabulary
        scale : (n_slots,) Tensor
            The standardiser's, needed to change the reference of colours.
        n_queries : int
            Slots that are asked beside the labels and G; of modalities that are asked apart, as many again.
        joint_share : float
            Share of each batch that trains the joint mode.
        generator : torch.Generator
        masking, hiding
            What the run file says; the defaults where it says nothing.
        """
        self.vocabulary, self.generator, self.scale = vocabulary, generator, scale
        self.n_queries, self.joint_share = n_queries, joint_share
        self.masking = masking or MaskingConfig()
        self.hiding = {own.name: own.hiding() for own in vocabulary.modalities} | dict(hiding or {})
        self.labels = torch.tensor(list(vocabulary.label_slots), dtype=torch.long)
        scalars = vocabulary.scalar_part
        self.g = [] if scalars.g is None else [scalars.g]
        self.brightness = torch.tensor(self.g, dtype=torch.long)
        self.colours = scalars.colours
        self.sequence_targets, self.apart_targets = self._targets()
        self.relative_to_g = [
            slot
            for own in vocabulary.modalities
            if own.needs_g
            for slot in vocabulary.slots(own.name)
        ]

    def _targets(self) -> tuple[Tensor, list[Tensor]]:
        """Slots that are asked together, and those of each modality that is asked apart; without labels."""
        askable, labels = set(self.vocabulary.askable), set(self.vocabulary.label_slots)
        together, apart = [], []
        for own in self.vocabulary.modalities:
            slots = [s for s in self.vocabulary.slots(own.name) if s in askable and s not in labels]
            if own.in_sequences:
                together += slots
            else:
                apart.append(torch.tensor(slots, dtype=torch.long))
        return torch.tensor(together, dtype=torch.long), apart

    def _draw_coins(self, batch: int, share: float) -> Tensor:
        return draw_coins(batch, share, self.generator)

    def draw_shown(
        self, batch: int, sky: Tensor | None = None, observed: Tensor | None = None
    ) -> Tensor:
        """Draw where the model may look, if something was observed there at all.

        Parameters
        ----------
        batch : int
            Number of stars.
        sky : (B,) bool Tensor, optional
            Stars without labels.
        observed : (B, n_slots) bool Tensor, optional
            What was measured; everything by default. A modality is shown alone of stars that have it.

        Returns
        -------
        (B, n_slots) bool Tensor
        """
        if sky is None:
            sky = torch.zeros(batch, dtype=torch.bool)
        if observed is None:
            observed = torch.ones(batch, self.vocabulary.n_slots, dtype=torch.bool)
        keep = torch.rand(batch, 1, generator=self.generator).sqrt()
        shown, available = [], []
        for own in self.vocabulary.modalities:
            hiding = self.hiding[own.name]
            shown.append(own.draw_shown(keep, hiding, self.generator))
            here = own.draw_available(batch, sky, hiding, self.generator)
            available.append(here.expand(batch, own.n_slots))
        show = torch.cat(shown, 1) | self._draw_coins(batch, self.masking.complete)
        show &= torch.cat(available, 1)
        self._hide_others(show, observed)
        show[:, self.labels] = self._draw_labels(batch)
        if self._draw_coins(1, self.masking.generate):
            return self._draw_shown_to_generate(batch)
        return show

    def _hide_others(self, show: Tensor, observed: Tensor) -> None:
        """Of some stars that have a modality it alone is known; in place."""
        for own in self.vocabulary.modalities:
            share = self.hiding[own.name].alone
            if share:
                place = self.vocabulary.places[own.name]
                others = torch.ones(show.shape[1], dtype=torch.bool)
                others[place] = False
                has_it = observed[:, place].any(1, keepdim=True)
                show &= ~(others & has_it & self._draw_coins(len(show), share))

    def _draw_labels(self, batch: int) -> Tensor:
        share = torch.rand(batch, 1, generator=self.generator) * MOST_LABELS
        some = torch.rand(batch, len(self.labels), generator=self.generator) < share
        return some & self._draw_coins(1, self.masking.labels)

    def _draw_shown_to_generate(self, batch: int) -> Tensor:
        """Many labels or all of them, with G in half of the stars and some photometry in a quarter."""
        show = torch.zeros(batch, self.vocabulary.n_slots, dtype=torch.bool)
        # above 1 the share is all of them
        share = FEWEST_TO_GENERATE + torch.rand(batch, 1, generator=self.generator)
        some = torch.rand(batch, len(self.labels), generator=self.generator) < share
        show[:, self.labels] = some
        show[:, self.g] = self._draw_coins(batch, 0.5)
        some = torch.rand(batch, len(self.colours), generator=self.generator) < 0.5
        show[:, self.colours] = some & self._draw_coins(batch, 0.25) & show[:, self.g]
        return show

    def remove_g(self, value: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Make the context what it would be had G never been measured.

        Nothing is then known that is relative to it (XP), and colours are relative to the mean of the bands, as
        `Scalars.transform` then makes them.
        """
        value, visible = value.clone(), visible.clone()
        visible[:, self.g + self.relative_to_g] = False
        shown, scale = visible[:, self.colours], self.scale[self.colours]
        total = torch.where(shown, value[:, self.colours] * scale, 0).sum(1)
        level = total / shown.sum(1).clamp(min=1)
        value[:, self.colours] -= level[:, None] / scale
        return value, visible

    def draw_order(self) -> Tensor:
        """(N,) all labels and, in some steps, measurements, few or many, shuffled."""
        slots = self.labels
        if self._draw_coins(1, self.masking.measurements):
            size = len(self.sequence_targets)
            number = size ** torch.rand((), generator=self.generator)  # log-uniform
            shuffled = torch.randperm(size, generator=self.generator)
            chosen = shuffled[: round(float(number))]
            slots = torch.cat([slots, self.sequence_targets[chosen]])
        return slots[torch.randperm(len(slots), generator=self.generator)]

    def blur(self, m: Measurement) -> Measurement:
        """Values as later targets are given them: some with more noise, their errors larger to match.

        Exact values and noisy ones of any known error then both occur, whatever errors the data have: a value that is
        exact (or of unknown error) is given as it is, or as a measurement of some error; one of error s is given with
        s or with something larger.
        """
        low, high = self.masking.blur_least, self.masking.blur_most
        size = draw_log_uniform(tuple(m.value.shape), low, high, self.generator)
        coin = torch.rand(m.value.shape, generator=self.generator) < self.masking.blur
        size = torch.where(coin, size, 0)
        noise = torch.randn(m.value.shape, generator=self.generator) * size
        sigma = torch.hypot(torch.nan_to_num(m.sigma), size)
        return Measurement(m.value + noise, sigma, m.observed)

    def _draw_missing_errors(self, batch: int) -> Tensor:
        """(B, n_slots) True where a scalar comes without its error, as single columns of tables do."""
        n = self.vocabulary.n_scalars
        coins = torch.rand(batch, n, generator=self.generator) < 0.5
        missing = torch.zeros(batch, self.vocabulary.n_slots, dtype=torch.bool)
        missing[:, :n] = coins & self._draw_coins(batch, self.masking.some_errors)
        return missing

    def _draw_some(self, slots: Tensor) -> Tensor:
        """`n_queries` of the slots."""
        return slots[torch.randperm(len(slots), generator=self.generator)[: self.n_queries]]

    def __call__(self, stars: Measurement, errors: Tensor | None = None) -> Split:
        """Draw what a step shows and asks.

        All labels and G are asked, and `n_queries` other slots (and as many of each modality that is asked apart);
        what is shown is not asked. Slots that no star of the batch can answer are left out: they would cost time and
        say nothing.

        Parameters
        ----------
        stars : Measurement
            (B, n_slots), standardised.
        errors : (B, n_slots) Tensor, optional
            What the encoder is given, where it is not what the targets have.
        """
        batch = stars.value.shape[0]
        unlabelled = ~stars.observed[:, self.labels].any(1)
        visible = stars.observed & self.draw_shown(batch, unlabelled, stars.observed)
        stated = stars.sigma if errors is None else errors
        without_errors = self._draw_coins(batch, self.masking.no_errors)
        sigma = torch.where(without_errors, torch.nan, stated)
        sigma = torch.where(self._draw_missing_errors(batch), torch.nan, sigma)
        query = [self.labels, self.brightness, self._draw_some(self.sequence_targets)]
        query += [self._draw_some(slots) for slots in self.apart_targets]
        asked = stars.observed & ~visible & (stars.value.abs() < OUTLIER)
        value = stars.value
        if self.g and self._draw_coins(1, self.masking.no_g):
            value, visible = self.remove_g(value, visible)
        order = self.draw_order()
        n_alone = batch - round(self.joint_share * batch)
        can_answer = asked[n_alone:, order]
        known = Measurement(stars.value[n_alone:, order], stars.sigma[n_alone:, order], can_answer)
        given = self.blur(known)
        answered = can_answer.any(0)
        given = Measurement(
            given.value[:, answered], given.sigma[:, answered], given.observed[:, answered]
        )
        slots = torch.cat(query)
        slots = slots[asked[:n_alone, slots].any(0)]
        context = Measurement(value, sigma, visible, stars.coordinate)
        return Split(context, asked, slots, order[answered], given)
