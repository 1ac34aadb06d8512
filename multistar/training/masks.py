"""What is shown to the model and what is asked of it, drawn anew for every star at every step."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from encoders import Measurement
from multistar.model.vocabulary import Vocabulary

P_COMPLETE = 0.4  # show everything that was measured
P_NO_XP, P_NO_PHOTOMETRY, P_NO_PARALLAX = 0.12, 0.2, 0.4
P_NO_BAND = 0.15  # one of BP and RP is missing whole
P_NO_BAND_SKY = 0.5  # the same for stars without labels, which teach nothing but spectra
P_TRUNCATE = 0.5  # keep only the first orders of a band, as `n_relevant_bases` does
P_LABELS = 0.4  # show some labels
P_GENERATE = 0.12  # labels are what is known: spectra are generated from them
P_NO_G = 0.08  # neither G nor XP: colours are then against the mean of the bands
P_NO_LIGHT_CURVE, P_LIGHT_CURVE_ALONE = 0.3, 0.15
LIGHT_CURVE_RUN = 16  # slots of a light curve that are shown or hidden together
P_NO_ERRORS = 0.05  # hide all errors, for tables that come without
P_MEASUREMENTS = 0.5  # the sequence of the joint part holds measurements beside the labels
P_BLUR = 0.5  # a fed value gets more noise than it has
BLUR = (0.02, 1.0)  # size of that noise, log-uniform, standardised
P_LIKE_THE_SKY = 0.5  # a mock star is made as unlike the mock as the sky is
MISMATCH = (0.3, 1.5)  # by how much, log-uniform, in units of the mismatch as measured
OUTLIER = 30.0  # standardised; farther targets are faults of the data and say nothing


@dataclass(frozen=True)
class Split:
    """What one step shows and asks. The last J stars train the joint mode, the others the marginals.

    context  (B, n_slots) hidden slots are unobserved
    asked    (B, n_slots) True where a hidden value is known, so that it can be asked
    query    (Q,) slots whose marginals are asked
    order    (N,) slots of the joint mode, in the order of the chain rule
    fed      (J, N) their values as later targets are told them
    """

    context: Measurement
    asked: Tensor
    query: Tensor
    order: Tensor
    fed: Measurement

    def to(self, device: torch.device) -> "Split":
        return Split(*(x.to(device) for x in vars(self).values()))


def draw_sizes(n: int, generator: torch.Generator) -> Tensor:
    """(n, 1) how large the mismatch with the sky is made, 0 for some stars."""
    low, high = map(math.log, MISMATCH)
    size = torch.exp(low + (high - low) * torch.rand(n, 1, generator=generator))
    return torch.where(torch.rand(n, 1, generator=generator) < P_LIKE_THE_SKY, size, 0)


class Splitter:
    """Draws context and targets for a batch; all randomness comes from one generator, so runs resume exactly."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        scale: Tensor,
        n_queries: int,
        joint_share: float,
        generator: torch.Generator,
    ):
        """scale (n_slots,) is the standardiser's, needed to change the reference of colours."""
        self.vocabulary, self.generator, self.scale = vocabulary, generator, scale
        self.n_queries, self.joint_share = n_queries, joint_share
        slots = torch.arange(vocabulary.n_slots)
        self.labels = torch.tensor(list(vocabulary.label_slots), dtype=torch.long)
        self.light_curve = vocabulary.light_curve_slots
        self.others = slots[vocabulary.label_slots.stop : self.light_curve.start]
        self.others = torch.cat(
            [slots[: vocabulary.label_slots.start], self.others]
        )  # all but labels and light curve
        self.curve_targets = torch.tensor(
            [s for s in vocabulary.askable if s in self.light_curve], dtype=torch.long
        )
        kinds = {"magnitude": [], "astrometry": [], "other": []}
        for name in vocabulary.measurements:
            kinds[vocabulary.quantity(name).kind].append(vocabulary.slot(name))
        self.photometry, self.astrometry = kinds["magnitude"], kinds["astrometry"]
        self.g = [vocabulary.slot("g")] if "g" in vocabulary.measurements else []
        self.brightness = torch.tensor(self.g, dtype=torch.long)
        self.colours = [slot for slot in self.photometry if slot not in self.g]
        self.xp = list(vocabulary.xp_slots)

    def _coin(self, batch: int, p: float) -> Tensor:
        return torch.rand(batch, 1, generator=self.generator) < p

    def shown(self, batch: int, sky: Tensor | None = None) -> Tensor:
        """(B, n_slots) True where the model may look, if it was observed at all. sky (B,): stars without labels."""
        n_slots = self.vocabulary.n_slots
        keep = torch.rand(batch, 1, generator=self.generator).sqrt()
        show = torch.rand(batch, n_slots, generator=self.generator) < keep
        show[:, self.photometry] &= ~self._coin(batch, P_NO_PHOTOMETRY)
        show[:, self.xp] = self._shown_orders(batch, keep)
        if self.light_curve:
            show[:, self.light_curve.start :] = self._shown_light_curve(batch, keep)
        show |= self._coin(batch, P_COMPLETE)
        show[:, self.xp] &= self._truncation() & ~self._coin(1, P_NO_XP) & self._bands(batch, sky)
        show[:, self.astrometry] &= ~self._coin(batch, P_NO_PARALLAX)
        if self.light_curve:
            show[:, self.light_curve.start :] &= ~self._coin(batch, P_NO_LIGHT_CURVE)
            show[:, : self.light_curve.start] &= ~self._coin(batch, P_LIGHT_CURVE_ALONE)
        show[:, self.labels] = self._shown_labels(batch)
        return self._shown_to_generate(batch) if self._coin(1, P_GENERATE) else show

    def _shown_orders(self, batch: int, keep: Tensor) -> Tensor:
        """Single orders drop out in half of the stars, runs of five in the others."""
        single = torch.rand(batch, len(self.xp), generator=self.generator) < keep
        runs = torch.rand(batch, -(-len(self.xp) // 5), generator=self.generator) < keep
        runs = runs.repeat_interleave(5, dim=1)[:, : len(self.xp)]
        return torch.where(self._coin(batch, 0.5), single, runs)

    def _shown_light_curve(self, batch: int, keep: Tensor) -> Tensor:
        """(B, n) runs of neighbouring slots drop out."""
        runs = (
            torch.rand(
                batch, -(-len(self.light_curve) // LIGHT_CURVE_RUN), generator=self.generator
            )
            < keep
        )
        return runs.repeat_interleave(LIGHT_CURVE_RUN, dim=1)[:, : len(self.light_curve)]

    def _bands(self, batch: int, sky: Tensor | None) -> Tensor:
        """(B, n_xp) False in the one band that a star lacks, if it does."""
        odds = (
            torch.full((batch,), P_NO_BAND)
            if sky is None
            else torch.where(sky, P_NO_BAND_SKY, P_NO_BAND)
        )
        first = torch.arange(len(self.xp)) < len(self.vocabulary.band_slots["bp"])
        lacks = torch.where(self._coin(batch, 0.5), first, ~first)
        return ~(lacks & (torch.rand(batch, generator=self.generator) < odds)[:, None])

    def _truncation(self) -> Tensor:
        """(1, n_xp) the first orders of each band, for the whole batch: what all lack costs no time."""
        kept = []
        for slots in self.vocabulary.band_slots.values():
            limit = 4 + torch.rand(1, 1, generator=self.generator) ** 1.5 * len(slots)
            kept.append((torch.arange(len(slots)) < limit) | ~self._coin(1, P_TRUNCATE))
        return torch.cat(kept, dim=1)

    def _shown_labels(self, batch: int) -> Tensor:
        share = torch.rand(batch, 1, generator=self.generator) * 0.7
        some = torch.rand(batch, len(self.labels), generator=self.generator) < share
        return some & self._coin(1, P_LABELS)

    def _shown_to_generate(self, batch: int) -> Tensor:
        """Many labels or all of them, with G in half of the stars and some photometry in a quarter; no XP."""
        show = torch.zeros(batch, self.vocabulary.n_slots, dtype=torch.bool)
        share = 0.4 + torch.rand(batch, 1, generator=self.generator)  # above 1: all
        show[:, self.labels] = torch.rand(batch, len(self.labels), generator=self.generator) < share
        show[:, self.g] = self._coin(batch, 0.5)
        some = torch.rand(batch, len(self.colours), generator=self.generator) < 0.5
        show[:, self.colours] = some & self._coin(batch, 0.25) & show[:, self.g]
        return show

    def without_g(self, value: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """The context as it would be had G never been measured: no XP, and colours as Standardiser then makes them."""
        value, visible = value.clone(), visible.clone()
        visible[:, self.g + self.xp] = False
        shown, scale = visible[:, self.colours], self.scale[self.colours]
        level = torch.where(shown, value[:, self.colours] * scale, 0).sum(1) / shown.sum(1).clamp(
            min=1
        )
        value[:, self.colours] -= level[:, None] / scale
        return value, visible

    def order(self) -> Tensor:
        """(N,) all labels and, in some steps, measurements, few or many, shuffled."""
        slots = self.labels
        if self._coin(1, P_MEASUREMENTS):
            number = len(self.others) ** torch.rand((), generator=self.generator)  # log-uniform
            chosen = torch.randperm(len(self.others), generator=self.generator)[
                : round(float(number))
            ]
            slots = torch.cat([slots, self.others[chosen]])
        return slots[torch.randperm(len(slots), generator=self.generator)]

    def fed(self, m: Measurement) -> Measurement:
        """Values as they are told to later targets: some with more noise, their errors larger to match.

        Exact values and noisy ones of any known error then both occur, whatever errors the data have: a value
        that is exact (or of unknown error) is told as it is, or as a measurement of some error; one of
        error s is told with s or with something larger.
        """
        low, high = math.log(BLUR[0]), math.log(BLUR[1])
        size = torch.exp(low + (high - low) * torch.rand(m.value.shape, generator=self.generator))
        size = torch.where(torch.rand(m.value.shape, generator=self.generator) < P_BLUR, size, 0)
        noise = torch.randn(m.value.shape, generator=self.generator) * size
        return Measurement(
            m.value + noise, torch.hypot(torch.nan_to_num(m.sigma), size), m.observed
        )

    def _some(self, slots: Tensor) -> Tensor:
        """`n_queries` of the slots."""
        return slots[torch.randperm(len(slots), generator=self.generator)[: self.n_queries]]

    def __call__(self, stars: Measurement, errors: Tensor | None = None) -> Split:
        """All labels and G are asked, and `n_queries` other slots (and of a light curve); what is shown is not asked.

        errors (B, n_slots): what the encoder is told, where it is not what the targets have.
        """
        batch = stars.value.shape[0]
        visible = stars.observed & self.shown(batch, ~stars.observed[:, self.labels].any(1))
        sigma = torch.where(
            self._coin(batch, P_NO_ERRORS), torch.nan, stars.sigma if errors is None else errors
        )
        query = [
            self.labels,
            self.brightness,
            self._some(self.others),
            self._some(self.curve_targets),
        ]
        asked = stars.observed & ~visible & (stars.value.abs() < OUTLIER)
        value = stars.value
        if self.g and self._coin(1, P_NO_G):
            value, visible = self.without_g(value, visible)
        order, joint = self.order(), slice(batch - round(self.joint_share * batch), batch)
        told = Measurement(
            stars.value[joint][:, order], stars.sigma[joint][:, order], asked[joint][:, order]
        )
        return Split(
            Measurement(value, sigma, visible), asked, torch.cat(query), order, self.fed(told)
        )
