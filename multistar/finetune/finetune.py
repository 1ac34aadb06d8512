"""A table of labels -> an adapter."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from multistar.finetune.adapter import OWNED, Adapter, save_adapter
from multistar.finetune.begin import begin
from multistar.finetune.examples import check_split, examples, held_out_stars, used
from multistar.finetune.joint import fit_dependence
from multistar.finetune.judge import judge_held_out
from multistar.finetune.request import read_labelled
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
from multistar.training.engine import discard_run, is_resumable, partial_folder

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
    out     folder of the adapter; an interrupted run of the same settings goes on from `out`.partial

    Raises ValueError for what read_labelled refuses, for too few labelled stars, and for a split without places.
    """
    config = config or FinetuneConfig()
    if out is not None:
        refuse_existing(out, overwrite, OWNED)
    request, stars, codes = read_labelled(base.vocabulary, table, labels, inputs, mode, columns)
    if light_curves is not None:
        stars = stars.with_light_curves(light_curves)
    adapter = Adapter.fresh(base, request, config.dropout)
    out_of_training = held_out_stars(stars, config.split, config.held_out)
    new = [name for name in adapter.model.vocabulary.scalars if name not in base.vocabulary.scalars]
    if new:
        adapter.model.standardiser.fit_scalars(stars.select(~out_of_training), new)
    whole, outside = (
        examples(adapter.model, request, stars, codes),
        torch.from_numpy(out_of_training),
    )
    useful = whole.useful()
    train, validation = whole.rows(useful & ~outside), whole.rows(useful & outside)
    check_split(request, train, validation)
    like = begin(adapter, base, train) if mode != "probe" else {}
    trainer = Trainer(base, adapter, config, train, validation)
    partial = None if out is None else partial_folder(out)
    if partial and is_resumable(partial):
        trainer.resume(partial)
    adapter = run(trainer, partial, quiet, checkpoint_seconds)
    fit_dependence(base, adapter, stars.select((useful & outside).numpy()))
    adapter.provenance |= {
        "begins_like": like,
        "labels": used(train, validation, request, stars),
        "held_out": judge_held_out(adapter, validation),
        "columns": dict(columns or {}),  # which predict looks for again
    }
    if out is not None:
        save_adapter(adapter, out, overwrite)
    if partial:
        discard_run(partial)
    return adapter
