"""The Python front door: MultiStar.from_pretrained(path).predict(table)."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from multistar.finetune.adapter import Adapter, load_adapter, save_adapter
from multistar.finetune.dropout import check_passes
from multistar.finetune.finetune import RETAIN_IS_GONE, finetune
from multistar.finetune.joint import with_joint
from multistar.finetune.predict import check_new, check_stack, with_adapters
from multistar.finetune.tune import FinetuneConfig
from multistar.hub import push_to_hub
from multistar.inference.embed import embed
from multistar.inference.generate import generate
from multistar.inference.inpaint import inpaint
from multistar.inference.predict import predict
from multistar.modalities.light_curve.read import read_light_curves
from multistar.model.checkpoint import Model, device_of, load_model, save_model
from multistar.model.nuisance import Eraser
from multistar.precision import resolve, warn_if_slow
from multistar.quantities import Quantity
from multistar.stars import Stars, read_stars


class MultiStar:
    """A trained model and what one does with it.

    `table` is a path (CSV, ECSV, FITS, VOTable, Parquet), DataFrame, astropy Table, Arrow table, dict
    or Stars; `columns` maps quantity names to column names where they are not the usual ones. `light_curves`
    is what read_light_curves takes (or gives): each star of the table gets those of its source_id; with
    table=None they are all that is known.
    """

    def __init__(self, model: Model, adapters: Sequence[Adapter] = ()):
        check_stack(adapters)
        self.model, self.adapters = model, tuple(adapters)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "mini",
        adapter: str | Path | Sequence[str | Path] = (),
        precision: str = "auto",
        device: str | None = None,
    ) -> "MultiStar":
        """Load a model folder, or a model that comes with the package; strict, hash-checked, no network.

        adapter: folder of an adapter of this model, or several; `predict` then gives their labels, too.
        precision: "float32"; "bfloat16" runs the blocks of fusion and head in it, which moves labels by a few
        hundredths of their errors; "auto" takes bfloat16 where the hardware makes it the faster one and float32
        elsewhere. Results name theirs in the metadata key `precision`. Adapters stay in float32.
        device: "cpu", "cuda" or "cuda:1"; None is the first GPU, or the CPU where there is none. Adapters and
        fine-tuning stay on the CPU.

        See load_model and load_adapter for the errors; ValueError for another precision, or a device that is not there.
        """
        place = device_of(device)
        precision = resolve(precision, place)
        warn_if_slow(precision, place)
        model = load_model(name).in_precision(precision)
        folders = [adapter] if isinstance(adapter, (str, Path)) else adapter
        adapters = [
            load_adapter(model, folder) for folder in folders
        ]  # copies, before the model moves
        return cls(model.to(place), adapters)

    def finetune(
        self,
        table: Any,
        labels: Collection[str | Quantity],
        mode: str = "lora",
        inputs: Collection[str | Quantity] = (),
        columns: Mapping[str, str] | None = None,
        out: str | Path | None = None,
        overwrite: bool = False,
        quiet: bool = True,
        light_curves: Any = None,
        retain: Any = None,
        **settings,
    ) -> "MultiStar":
        """The same model with one more adapter, which predicts `labels` learnt from the table.

        See finetune/finetune.py for modes and inputs, FinetuneConfig for `settings`. `out` is where the adapter is
        written; without it, save_adapter does so later. `retain` is deprecated and does nothing: the base's own
        columns come from the base, so that no adapter can change them.
        """
        labels, inputs = ([x] if isinstance(x, (str, Quantity)) else x for x in (labels, inputs))
        check_new(self.adapters, labels)
        curves = None if light_curves is None else read_light_curves(light_curves)
        if retain is not None:
            warnings.warn(RETAIN_IS_GONE.format("retain"), DeprecationWarning, stacklevel=2)
        config = FinetuneConfig(**settings)
        place, precision = next(self.model.network.parameters()).device, self.model.precision
        try:
            base = self.model.to(torch.device("cpu")).in_precision("float32")
            adapter = finetune(
                base,
                table,
                labels,
                mode,
                inputs,
                columns,
                config,
                out,
                overwrite,
                quiet,
                curves,
            )
        finally:
            self.model.to(place).in_precision(precision)
        return MultiStar(self.model, (*self.adapters, adapter))

    def save_adapter(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the adapter that came last. ValueError if there is none."""
        if not self.adapters:
            raise ValueError("this model has no adapter; make one with finetune")
        save_adapter(self.adapters[-1], folder, overwrite)

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write config.json and model.safetensors, the layout of model hubs."""
        save_model(self.model, folder, overwrite)

    def push_to_hub(self, repo: str, private: bool = False, token: str | None = None) -> str:
        """Upload the model and its card to the Hugging Face Hub ("you/name"); see hub.py for the way back."""
        return push_to_hub(self.model, repo, private, token)

    def predict(
        self,
        table: Any,
        columns: Mapping[str, str] | None = None,
        quiet: bool = True,
        samples: int = 0,
        seed: int = 0,
        consistency: bool = False,
        light_curves: Any = None,
        mc_dropout: int = 0,
    ) -> pa.Table:
        """One row per input row, in order: source_id, status, and L, L_lower, L_upper for each label L.

        With `samples`, also that many draws of the joint posterior (L_samples) and its covariance; with
        `consistency`, whether the measurements fit together. Adapters add their columns, and with `samples` draws of
        their numbers that go with those of the base's labels (see finetune/joint.py). With `mc_dropout`, the
        adapters' columns are those of that many thinned networks together (finetune/dropout.py);
        ValueError for an adapter that was trained without dropout.
        """
        check_passes(self.adapters, mc_dropout)
        stars = self._stars(table, columns, light_curves, self._read_by_adapters())
        result = predict(self.model, stars, quiet, samples, seed, consistency)
        if self.adapters:
            result = with_adapters(result, self.adapters, stars, quiet, mc_dropout)
        if self.adapters and samples:
            result = with_joint(result, self.adapters, stars, samples, seed, quiet, mc_dropout)
        return result

    def embed(
        self,
        table: Any,
        columns: Mapping[str, str] | None = None,
        quiet: bool = True,
        light_curves: Any = None,
        ignore: str | None = None,
        space: str = "fused",
    ) -> pa.Table:
        """One row per input row, in order: source_id, status, embedding.

        With ignore="dust" (or another quantity, or the file of an eraser), vectors that do not tell it: few numbers,
        in which stars are near each other if their intrinsic labels are; see model/erasure.py. `space`: see
        tasks/embed.py.
        """
        return embed(
            self.model, self._stars(table, columns, light_curves), quiet, ignore=ignore, space=space
        )

    def eraser(self, ignore: str = "dust") -> Eraser:
        """For StarIndex.build(vectors, eraser=...) and index.ignoring(...); ValueError if the model has none."""
        return self.model.eraser(ignore)

    def generate(
        self,
        table: Any,
        columns: Mapping[str, str] | None = None,
        quiet: bool = True,
        samples: int = 64,
        seed: int = 0,
        sampled: bool = False,
    ) -> pa.Table:
        """Labels and magnitudes -> XP coefficients with errors; `sampled` adds spectra [W m-2 nm-1]."""
        return generate(
            self.model, self._stars(table, columns, labels=True), samples, seed, sampled, quiet
        )

    def inpaint(
        self,
        table: Any,
        columns: Mapping[str, str] | None = None,
        quiet: bool = True,
        bands: Collection[str] = (),
        light_curves: Any = None,
    ) -> pa.Table:
        """XP coefficients that are not observed, and all of `bands`, from the others; see tasks/inpaint.py."""
        return inpaint(self.model, self._stars(table, columns, light_curves), bands, quiet)

    def _read_by_adapters(self) -> set[str]:
        """Labels that are an input of some adapter."""
        return {name for adapter in self.adapters for name in adapter.request.given}

    def _stars(
        self,
        table: Any,
        columns: Mapping[str, str] | None,
        light_curves: Any = None,
        labels: bool | Collection[str] = False,
    ) -> Stars:
        if light_curves is not None and "light_curve" not in self.model.vocabulary:
            raise ValueError(
                "this model reads no light curves; train one that does, or leave them out"
            )
        curves = None if light_curves is None else read_light_curves(light_curves)
        if table is None:
            if curves is None:
                raise ValueError("nothing to read: give a table, light curves, or both")
            return Stars.of_light_curves(curves)
        if isinstance(table, Stars):
            stars = table
        else:
            declared = [q for adapter in self.adapters for q in adapter.request.quantities]
            stars = read_stars(table, columns, labels=labels, declared=declared)
        return stars if curves is None else stars.with_light_curves(curves)
