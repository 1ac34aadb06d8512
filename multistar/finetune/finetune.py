"""A table of labels -> an adapter."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multistar.finetune.adapter import OWNED, Adapter, save_adapter
from multistar.finetune.begin import begin
from multistar.finetune.examples import check_split, examples, held_out_stars, used
from multistar.finetune.grow import grow
from multistar.finetune.joint import fit_dependence
from multistar.finetune.judge import is_better, judge_held_out
from multistar.finetune.request import Request, read_labelled
from multistar.finetune.trees import import_xgboost
from multistar.finetune.tune import (
    CHECKPOINT_SECONDS,
    FinetuneConfig,
    Trainer,
    run,
)
from multistar.io.files import refuse_existing
from multistar.modalities.light_curve.curves import LightCurves
from multistar.model.checkpoint import Model
from multistar.quantities import Quantity
from multistar.stars import Stars
from multistar.training.engine import discard_run, is_resumable, partial_folder

AUTO, AUTO_MODES = "auto", ("lora", "trees")
# Shown by the front door and by the command line, which still take the argument; {} is what it is called there.
RETAIN_IS_GONE = (
    "{} does nothing any more and goes in 0.3: with an adapter the base's own columns still come "
    "from the base, to the bit, so that there is nothing to measure"
)


def finetune(
    base: Model,
    table: Any,
    labels: Collection[str | Quantity],
    mode: str = "lora",
    *,
    inputs: Collection[str | Quantity] = (),
    columns: Mapping[str, str] | None = None,
    config: FinetuneConfig | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    quiet: bool = True,
    light_curves: LightCurves | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Adapter:
    """An adapter of `base` that predicts `labels`; `base` itself stays as it is.

    labels, inputs, mode, columns   see read_labelled and its modes:
        probe  the network is frozen; linear densities from embedding and memory
        head   new tokens, and a copy of the decoder, on the frozen encoder
        lora   new tokens and inputs, and low-rank changes of all linear layers of fusion and decoder
        full   everything moves
        trees  boosted trees on embedding, the base's labels and all inputs
        auto   lora, unless trees are clearly better on the held-out stars
    out     folder of the adapter; an interrupted run of the same settings goes on from `out`.partial

    Raises ValueError for what read_labelled refuses, for too few labelled stars, and for a split without places;
    ImportError for trees without XGBoost.
    """
    config = config or FinetuneConfig()
    modes = AUTO_MODES if mode == AUTO else (mode,)
    if "trees" in modes:
        import_xgboost()  # before anything is learnt
        if config.dropout:
            raise ValueError(f"dropout={config.dropout}: trees have no dropout; use mode lora")
    if out is not None:
        refuse_existing(out, overwrite, OWNED)
    request, stars, codes = read_labelled(
        base.vocabulary, table, labels, inputs, modes[0], columns, measured=light_curves is None
    )
    if light_curves is not None:
        stars = stars.with_light_curves(light_curves)
    taught = {}
    for own in modes:
        lesson = Lesson(dataclasses.replace(request, mode=own), stars, codes, config)
        taught[own] = _teach(base, lesson, out, quiet, checkpoint_seconds)
    adapter = taught[choose(taught)]
    adapter.provenance["columns"] = dict(columns or {})  # which predict looks for again
    if mode == AUTO:
        figures = {own: other.provenance["held_out"] for own, other in taught.items()}
        adapter.provenance["compared"] = figures
    if out is not None:
        save_adapter(adapter, out, overwrite)
        discard_run(partial_folder(out))
    return adapter


def choose(taught: Mapping[str, Adapter]) -> str:
    """Return the first mode, unless a later one is clearly better on the held-out stars."""
    best, *others = taught
    for mode in others:
        one, other = taught[mode].losses, taught[best].losses
        assert one is not None and other is not None
        if is_better(one, other):
            best = mode
    return best


@dataclass(frozen=True)
class Lesson:
    """What is learnt, from which stars, how; codes: class label -> numbers of the classes (n,)."""

    request: Request
    stars: Stars
    codes: Mapping[str, np.ndarray]
    config: FinetuneConfig


def _teach(
    base: Model, lesson: Lesson, out: str | Path | None, quiet: bool, checkpoint_seconds: float
) -> Adapter:
    """Fine-tune in one mode, and judge the adapter on the held-out stars."""
    request, stars, config = lesson.request, lesson.stars, lesson.config
    adapter = Adapter.fresh(base, request, config.dropout)
    out_of_training = held_out_stars(stars, config.split, config.held_out)
    new = [name for name in adapter.model.vocabulary.scalars if name not in base.vocabulary.scalars]
    if new:
        adapter.model.standardiser.fit_scalars(stars.select(~out_of_training), new)
    whole = examples(adapter.model, request, stars, lesson.codes)
    measured = whole.stars.observed.any(1).numpy()
    useful, outside = whole.useful(), torch.from_numpy(out_of_training)
    train, validation = whole.rows(useful & ~outside), whole.rows(useful & outside)
    check_split(request, whole, train, validation)
    like = {}
    if request.mode == "trees":
        adapter = grow(base, adapter, config, train, validation, quiet)
    else:
        like = begin(adapter, base, train) if request.mode != "probe" else {}
        trainer = Trainer(base, adapter, config, train, validation)
        partial = None if out is None else partial_folder(out)
        if partial and is_resumable(partial):
            trainer.resume(partial)
        adapter = run(trainer, partial, quiet, checkpoint_seconds)
    fit_dependence(base, adapter, stars.select((useful & outside).numpy()))
    adapter.provenance |= {
        "begins_like": like,
        "labels": used(train, validation, request, stars, measured),
        "held_out": judge_held_out(adapter, validation),
    }
    return adapter
