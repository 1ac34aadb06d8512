"""The Python front door: MultiStar.from_pretrained(path).predict(table)."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from multistar.data.read_light_curves import read_light_curves
from multistar.data.stars import Stars, read_stars
from multistar.hub import push_to_hub
from multistar.model.checkpoint import Model, load_model, save_model
from multistar.model.erasure import Eraser
from multistar.tasks.embed import embed
from multistar.tasks.generate import generate
from multistar.tasks.inpaint import inpaint
from multistar.tasks.predict import predict


class MultiStar:
    """A trained model and what one does with it.

    `table` is a path (CSV, ECSV, FITS, VOTable, Parquet), DataFrame, astropy Table, Arrow table, dict
    or Stars; `columns` maps quantity names to column names where they are not the usual ones. `light_curves`
    is what read_light_curves takes (or gives): each star of the table gets those of its source_id; with
    table=None they are all that is known.
    """

    def __init__(self, model: Model):
        self.model = model

    @classmethod
    def from_pretrained(cls, name: str | Path = "mini") -> "MultiStar":
        """Load a model folder, or a model that comes with the package; strict, hash-checked, no network.

        See load_model for the errors.
        """
        return cls(load_model(name))

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
    ) -> pa.Table:
        """One row per input row, in order: source_id, status, and L, L_lower, L_upper for each label L.

        With `samples`, also that many draws of the joint posterior (L_samples) and its covariance; with
        `consistency`, whether the measurements fit together.
        """
        return predict(self.model, self._stars(table, columns, light_curves), quiet, samples, seed, consistency)

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
        return embed(self.model, self._stars(table, columns, light_curves), quiet, ignore=ignore, space=space)

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
        return generate(self.model, self._stars(table, columns, labels=True), samples, seed, sampled, quiet)

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

    def _stars(
        self, table: Any, columns: Mapping[str, str] | None, light_curves: Any = None, labels: bool = False
    ) -> Stars:
        if light_curves is not None and not self.model.vocabulary.light_curve:
            raise ValueError("this model reads no light curves; train one that does, or leave them out")
        curves = None if light_curves is None else read_light_curves(light_curves)
        if table is None:
            if curves is None:
                raise ValueError("nothing to read: give a table, light curves, or both")
            return Stars.of_light_curves(curves)
        if isinstance(table, Stars):
            stars = dataclasses.replace(table, flags=table.flags.copy())  # tasks add flags
        else:
            stars = read_stars(table, columns, labels=labels)
        return stars if curves is None else stars.with_light_curves(curves)
