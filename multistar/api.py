"""The Python front door: MultiStar.from_pretrained(path).predict(table)."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from multistar.finetune.adapter import Adapter, load_adapter, save_adapter
from multistar.finetune.dropout import check_passes
from multistar.finetune.finetune import RETAIN_IS_GONE, finetune
from multistar.finetune.predict import check_new, check_stack, predict_with_adapters
from multistar.finetune.tune import FinetuneConfig
from multistar.hub import push_to_hub
from multistar.inference.doubts import question_columns
from multistar.inference.dust_evidence import with_dust
from multistar.inference.embed import embed
from multistar.inference.erase import fit_nuisance_projection
from multistar.inference.generate import generate
from multistar.inference.given import as_given
from multistar.inference.inpaint import inpaint, without_bands
from multistar.inference.predict import predict
from multistar.io.tables import read_columns
from multistar.modalities.light_curve.read import read_light_curves
from multistar.model.checkpoint import Model, device_of, load_model, save_model
from multistar.model.nuisance import NuisanceProjection
from multistar.precision import resolve, warn_if_slow
from multistar.quantities import Quantity
from multistar.reading import Reading, describe_reading, readable_names
from multistar.stars import Origin, Stars, read_stars

if TYPE_CHECKING:
    from multistar.index.star_index import StarIndex

Columns = Mapping[str, str] | None


class MultiStar:
    """A trained model and what one does with it.

    Notes
    -----
    These parameters mean the same in all methods:

    - **table** (path, DataFrame, astropy Table, Arrow table, dict or Stars): a catalogue with a row
      per star (CSV, ECSV, FITS, VOTable or Parquet as a file). Every row comes out once, in order,
      with a `status` that is "ok" or names what is wrong (see `multistar.status`).
    - **columns** (mapping of str to str, optional): quantity -> column name, where the table's
      names are not the usual ones, e.g. `{"teff": "TEFF", "teff_error": "TEFF_ERR"}`.
    - **light_curves** (optional): what `read_light_curves` takes or gives: each star of the table
      gets those of its source_id. With `table=None` they are all that is known.
    - **origin** ("sky" or "mock", optional): whether the stars are real. Errors of real stars are
      widened by the mismatch between mock stars and the sky. By default the table's own metadata
      says so, which `multistar mock` writes; no column name does.
    - **quiet** (bool): show no progress bar.
    - **seed** (int): the same seed gives the same random numbers for the same table;
      samples of a star depend on its row, too (they are other draws of the same posterior elsewhere).

    Examples
    --------
    >>> from multistar import MultiStar  # doctest: +SKIP
    >>> model = MultiStar.from_pretrained("mini")  # doctest: +SKIP
    >>> labels = model.predict("stars.fits")  # doctest: +SKIP
    """

    def __init__(self, model: Model, adapters: Sequence[Adapter] = ()):
        check_stack(adapters)
        self.model, self.adapters = model, tuple(adapters)

    def __repr__(self) -> str:
        vocabulary = self.model.vocabulary
        inputs = ", ".join(modality.describe() for modality in vocabulary.modalities)
        learnt = ["+".join(adapter.request.names) for adapter in self.adapters]
        device = next(self.model.network.parameters()).device
        return (
            f"MultiStar({self.model.hash[:12] or 'not saved'} on {device}, {self.model.precision}; "
            f"inputs: {inputs}; labels: {', '.join(vocabulary.labels)}; "
            f"adapters: {', '.join(learnt) or 'none'})"
        )

    # --- loading and saving

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "mini",
        adapter: str | Path | Sequence[str | Path] = (),
        precision: str = "auto",
        device: str | None = None,
    ) -> "MultiStar":
        """Load a model folder, or a model that comes with the package.

        Strict, hash-checked, no network.

        Parameters
        ----------
        name : str or path
            A folder, or the name of a shipped model.
        adapter : path or sequence of paths
            Folders of adapters of this model; `predict` then gives their labels, too.
        precision : {"auto", "float32", "bfloat16"}
            "bfloat16" runs the blocks of fusion and head in it, which moves labels by a few
            hundredths of their errors; "auto" takes it where the hardware makes it the faster
            one. Results name theirs in the metadata key `precision`. Adapters stay in float32.
        device : str, optional
            "cpu", "cuda" or "cuda:1"; None is the first GPU, or the CPU where there is none.
            Adapters and fine-tuning stay on the CPU.

        Raises
        ------
        FileNotFoundError
            If it is no model folder, or an adapter's is none.
        ValueError
            For corrupt files, an adapter of another model, another precision, a device that is
            not there.
        """
        place = device_of(device)
        precision = resolve(precision, place)
        warn_if_slow(precision, place)
        model = load_model(name).in_precision(precision)
        folders = [adapter] if isinstance(adapter, (str, Path)) else adapter
        # copies, before the model moves
        adapters = [load_adapter(model, folder) for folder in folders]
        return cls(model.to(place), adapters)

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write config.json and model.safetensors, the layout of model hubs."""
        save_model(self.model, folder, overwrite)

    def save_adapter(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the adapter that came last. ValueError if there is none."""
        if not self.adapters:
            raise ValueError("this model has no adapter; make one with finetune")
        save_adapter(self.adapters[-1], folder, overwrite)

    def push_to_hub(self, repo: str, private: bool = False, token: str | None = None) -> str:
        """Upload the model and its card to the Hugging Face Hub ("you/name").

        See hub.py for the way back.
        """
        return push_to_hub(self.model, repo, private, token)

    # --- labels, vectors, spectra

    def describe(
        self,
        table: Any,
        columns: Columns = None,
        labels: Collection[str] = (),
        origin: Origin | None = None,
        light_curves: Any = None,
    ) -> Reading:
        """Say what is read of a table, and what is not.

        Parameters
        ----------
        table, columns, origin, light_curves
            See the class.
        labels : collection of str
            Label columns that are input, too: those that will be given.

        Returns
        -------
        Reading
            Which column became which quantity, with errors or without, in which unit; how many
            stars have it; what this model cannot read; which columns were not used, with the
            known names that are like theirs; and which quantities are, over all stars, not what
            everything else says: another unit, band or quantity. `print` shows it.

        Examples
        --------
        >>> print(model.describe("stars.csv"))  # doctest: +SKIP
        """
        read = read_columns(table)
        read.used.clear()
        wanted = self._read_by_adapters() | set(labels)
        stars = self._stars(read, columns, light_curves, wanted, origin)
        inputs = [q.name for adapter in self.adapters for q in adapter.request.inputs]
        readable = readable_names(self.model.vocabulary, {*labels, *inputs})
        reading = describe_reading(read, stars, readable, self._declared())
        return replace(reading, doubts=question_columns(self.model, stars))

    def predict(
        self,
        table: Any,
        columns: Columns = None,
        quiet: bool = True,
        samples: int = 0,
        seed: int = 0,
        consistency: bool = False,
        light_curves: Any = None,
        mc_dropout: int = 0,
        origin: Origin | None = None,
        labels: Sequence[str] = (),
        given: Collection[str] | Mapping[str, float | None] = (),
        dust: Any = None,
        prior: str | None = None,
    ) -> pa.Table:
        """Predict labels: medians and central 68 % intervals, calibrated on held-out stars.

        Parameters
        ----------
        table, columns, quiet, seed, light_curves, origin
            See the class.
        samples : int
            Draws of the joint posterior (L_samples) and their covariance beside the intervals; 0
            for none.
        consistency : bool
            Whether the measurements fit together, at about the cost of the prediction.
        mc_dropout : int
            The adapters' columns are those of so many thinned networks together.
        labels : sequence of str
            The labels that come out, in this order; without it all of the model and its adapters.
        given : collection of str, or mapping of str to float or None
            Labels of the table that are known beforehand, such as a spectroscopic Teff or the age
            of a cluster: evidence like the measurements. Their errors are the table's
            (`teff_error`), or where it has none the number here. Their own columns are then their
            posteriors; a value that all the rest contradicts raises "inconsistent".
        dust : str or object, optional
            A dust map that tells E(B-V) of stars with positions (ra and dec, l and b, or a Gaia
            source_id): "sfd", "planck", "bayestar", "bh", MODULE:CLASS of dustmaps, a HEALPix
            file (.fits), or such an object. Maps of the whole line of sight count by the share in
            front of the star. "disc" needs no file: what is typical of a place and a distance.
        prior : str, optional
            A population that the stars are known to be of, such as "young" for members of a young
            cluster or "halo", instead of all training stars: a selection of the mock survey that
            the model was trained on (`model.model.populations.names`). It costs as much as 256
            samples; stars that the population hardly has are flagged "unlike_prior".

        Returns
        -------
        pyarrow.Table
            source_id, status, and L, L_lower, L_upper for each label L of the model and of its
            adapters, with units in the fields' metadata.

        Raises
        ------
        ValueError
            For a table that cannot be meant (see `read_stars`), samples = 1, labels or a prior
            that the model does not have, given labels that the table does not have or without
            errors, and an adapter that was trained without dropout if mc_dropout is asked for.

        Examples
        --------
        >>> table = model.predict("stars.csv", samples=100)  # doctest: +SKIP
        >>> table["teff"], table["mass_samples"]  # doctest: +SKIP
        >>> spectroscopic = {"teff": 80.0, "logg": 0.1, "m_h": 0.05}
        >>> model.predict("stars.csv", labels=["mass", "age"], given=spectroscopic)  # doctest: +SKIP
        """
        check_passes(self.adapters, mc_dropout)
        known = as_given(given)
        if (known or dust is not None or prior is not None) and self.adapters:
            raise ValueError(
                "given labels and priors are of the base's labels; an adapter was not trained with "
                "them: predict without adapters, or fine-tune with these labels as inputs"
            )
        read = self._read_by_adapters() | set(known)
        stars = self._stars(table, columns, light_curves, read, origin)
        if dust is not None:
            stars, known = with_dust(self.model, stars, dust, known)
        if not self.adapters:
            options = (samples, seed, consistency, labels, known, prior)
            return predict(self.model, stars, quiet, *options)
        options = (samples, seed, consistency, mc_dropout, labels)
        return predict_with_adapters(self.model, self.adapters, stars, quiet, *options)

    def embed(
        self,
        table: Any,
        columns: Columns = None,
        quiet: bool = True,
        light_curves: Any = None,
        ignore: str | None = None,
        space: str = "fused",
        origin: Origin | None = None,
    ) -> pa.Table:
        """Compute one vector of unit norm per star; no catalogue label enters it.

        Parameters
        ----------
        table, columns, quiet, light_curves, origin
            See the class.
        ignore : str, optional
            "dust", another quantity, or the file of a nuisance projection: vectors that do not
            tell it.
        space : {"fused", "aligned", "eigen"}
            Of everything that is known, or one that light curves and spectra share.

        Returns
        -------
        pyarrow.Table
            source_id, status, embedding.
        """
        stars = self._stars(table, columns, light_curves, origin=origin)
        return embed(self.model, stars, quiet, ignore=ignore, space=space)

    def generate(
        self,
        table: Any,
        columns: Columns = None,
        quiet: bool = True,
        samples: int = 64,
        seed: int = 0,
        sampled: bool = False,
        origin: Origin | None = None,
    ) -> pa.Table:
        """Generate the XP spectra that stars of these labels and magnitudes have.

        Parameters
        ----------
        table, columns, quiet, seed, origin
            See the class.
        samples : int
            Joint draws, at least 2, from which medians, errors and correlations are.
        sampled : bool
            Also spectra [W m-2 nm-1] at 336, 338 ... 1020 nm.

        Returns
        -------
        pyarrow.Table
            The columns of the archive's XP_CONTINUOUS table [e-/s].
        """
        stars = self._stars(table, columns, labels=True, origin=origin)
        return generate(self.model, stars, samples, seed, sampled, quiet)

    def inpaint(
        self,
        table: Any,
        columns: Columns = None,
        quiet: bool = True,
        bands: Collection[str] = (),
        light_curves: Any = None,
        origin: Origin | None = None,
        given: Collection[str] | Mapping[str, float | None] = (),
        dust: Any = None,
    ) -> pa.Table:
        """Predict XP coefficients that are not observed from everything else.

        All of the `bands` ("bp", "rp") are predicted, as if they were not observed. Labels that
        are `given` and the E(B-V) of a `dust` map are taken for measurements, as by `predict`.
        """
        known = as_given(given)
        stars = self._stars(table, columns, light_curves, set(known), origin)
        if dust is not None:
            # a map is asked at the star's distance, of which the bands must not tell
            told, known = with_dust(self.model, without_bands(stars, bands), dust, known)
            stars = stars.with_blocks(scalars=told.scalars)
        return inpaint(self.model, stars, bands, quiet, known)

    # --- new labels

    def finetune(
        self,
        table: Any,
        labels: Collection[str | Quantity],
        mode: str = "lora",
        inputs: Collection[str | Quantity] = (),
        columns: Columns = None,
        out: str | Path | None = None,
        overwrite: bool = False,
        quiet: bool = True,
        light_curves: Any = None,
        retain: Any = None,
        **settings,
    ) -> "MultiStar":
        """Make the same model with one more adapter, which predicts `labels` learnt from the table.

        Parameters
        ----------
        table, columns, quiet, light_curves
            See the class.
        labels : collection of str or Quantity
            Columns that are learnt: numbers ("mg_fe", "vsini:log") or classes ("kind:class").
        mode : {"probe", "head", "lora", "full", "trees", "auto"}
            What moves: nothing but linear densities; a copy of the decoder; low-rank changes of
            all layers; all. "trees" are XGBoost's on embedding and inputs (extra `trees`); "auto"
            learns by "lora" and by "trees" and keeps "lora" unless "trees" are clearly better
            on the held-out stars.
        inputs : collection of str or Quantity
            Columns that the adapter reads beside what the base knows.
        out : path, optional
            Folder of the adapter; an interrupted run goes on from it. Without it, `save_adapter`
            writes it later.
        overwrite : bool
            Replace an adapter that is there.
        retain
            Deprecated, does nothing: the base's own columns come from the base, so that no
            adapter can change them.
        **settings
            The fields of `FinetuneConfig`: held_out, split, steps, batch, learning_rate, rank,
            loss, dropout, hide, average, seed.

        Raises
        ------
        ValueError
            For labels that an adapter predicts already, too few labelled stars, unknown modes or
            settings.

        Examples
        --------
        >>> taught = model.finetune("apogee.parquet", ["mg_fe"])  # doctest: +SKIP
        >>> taught.predict("stars.fits")["mg_fe"]  # doctest: +SKIP
        """
        labels = [labels] if isinstance(labels, (str, Quantity)) else labels
        inputs = [inputs] if isinstance(inputs, (str, Quantity)) else inputs
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
                inputs=inputs,
                columns=columns,
                config=config,
                out=out,
                overwrite=overwrite,
                quiet=quiet,
                light_curves=curves,
            )
        finally:
            self.model.to(place).in_precision(precision)
        return MultiStar(self.model, (*self.adapters, adapter))

    # --- neighbours and maps

    def search(
        self,
        index: "StarIndex | str | Path",
        table: Any,
        k: int = 10,
        columns: Columns = None,
        quiet: bool = True,
        numbers: Sequence[str] = (),
        ignore: str | None = None,
        origin: Origin | None = None,
    ) -> pa.Table:
        """Find the k nearest stars of an index for each star of a table.

        Parameters
        ----------
        index : StarIndex or path
            Of vectors of this model.
        table, columns, quiet, origin
            See the class.
        k : int
        numbers : sequence of str
            Columns of the index's metadata that are given with the neighbours.
        ignore : str, optional
            What the vectors shall not tell, as for `embed`; by default as the index was built.

        Returns
        -------
        pyarrow.Table
            query_id, rank, neighbour_id, distance (1 - cosine), and `numbers`.
        """
        from multistar.index.search import search_stars  # needs faiss
        from multistar.index.star_index import StarIndex

        index = index if isinstance(index, StarIndex) else StarIndex.load(index)
        stars = self._stars(table, columns, origin=origin)
        return search_stars(index, self.model, stars, k, numbers, quiet, ignore)

    def explain(
        self,
        found: pa.Table,
        index: "StarIndex",
        table: Any = None,
        columns: Columns = None,
        labels: pa.Table | None = None,
    ) -> pa.Table:
        """Add to neighbours why they are.

        How near each part of the data puts them, how their labels differ.

        Parameters
        ----------
        found : pyarrow.Table
            What `search` or the index gave.
        index : StarIndex
        table, columns
            Measurements of queries and neighbours; see the class. Without them labels alone are
            compared.
        labels : pyarrow.Table, optional
            Labels of queries that are not in the index, by source_id.
        """
        from multistar.index.explain import explain  # needs faiss

        if table is None:
            return explain(found, index, labels=labels)
        return explain(found, index, self.model, self._stars(table, columns), labels)

    def umap(
        self,
        table: Any,
        columns: Columns = None,
        quiet: bool = True,
        light_curves: Any = None,
        ignore: str | None = None,
        seed: int = 0,
        origin: Origin | None = None,
    ) -> pa.Table:
        """Map the stars' vectors in two dimensions: source_id, umap_x, umap_y, status.

        Raises
        ------
        ImportError
            Without umap-learn.
        """
        from multistar.index.umap_map import umap_map  # needs umap-learn

        vectors = self.embed(table, columns, quiet, light_curves, ignore, origin=origin)
        return umap_map(vectors, seed=seed, quiet=quiet)

    def nuisance_projection(self, ignore: str = "dust") -> NuisanceProjection:
        """Give the model's nuisance projection of a quantity; ValueError if it has none.

        For StarIndex.build(vectors, projection=...) and index.ignoring(...).
        """
        return self.model.projection(ignore)

    def eraser(self, ignore: str = "dust") -> NuisanceProjection:
        """Give `nuisance_projection` under its old name; deprecated, goes in 0.3."""
        text = "MultiStar.eraser is called nuisance_projection now; version 0.3 will not know it"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return self.nuisance_projection(ignore)

    def erase(
        self,
        table: Any,
        quantity: str = "dust",
        columns: Columns = None,
        quiet: bool = True,
        origin: Origin | None = None,
    ) -> NuisanceProjection:
        """Fit what erases a quantity from the model's vectors to stars of known labels.

        Raises
        ------
        ValueError
            For names that are no label, and for too few stars.
        """
        stars = self._stars(table, columns, labels=True, origin=origin)
        return fit_nuisance_projection(self.model, stars, quantity, quiet)

    # --- checks

    def check_calibration(
        self,
        table: Any,
        columns: Columns = None,
        samples: int = 256,
        seed: int = 0,
        quiet: bool = True,
        origin: Origin | None = None,
    ) -> dict:
        """Measure whether posteriors hold what they promise for stars with labels.

        Columns `true_L` are taken as exact.
        """
        from multistar.checks.calibration import calibration

        stars = self._stars(table, columns, labels=True, origin=origin)
        return calibration(self.model, stars, samples, seed, quiet)

    def check_physics(
        self,
        table: Any,
        columns: Columns = None,
        reference: Any = None,
        seed: int = 0,
        quiet: bool = True,
        origin: Origin | None = None,
    ) -> dict:
        """Measure whether labels and spectra obey physics.

        `reference` is a table from which the Gaussian baseline of inpainting is learnt; see
        `checks/physics.py`.
        """
        from multistar.checks.physics import physics

        stars = self._stars(table, columns, labels=True, origin=origin)
        other = None if reference is None else self._stars(reference, columns, labels=True)
        return physics(self.model, stars, other, seed, quiet)

    def check_disentangle(
        self,
        table: Any,
        ebv: Any = "column",
        columns: Columns = None,
        seed: int = 0,
        quiet: bool = True,
        maps: bool = False,
        origin: Origin | None = None,
    ) -> dict:
        """Measure whether extinction and temperature are disentangled in the vectors.

        `ebv` is "column", the name of a dust map, or a query of dustmaps; see
        `checks/disentangle.py`.
        """
        from multistar.checks.disentangle import disentangle

        stars = self._stars(table, columns, labels=True, origin=origin)
        result, _ = disentangle(self.model, stars, ebv, seed, maps=maps, quiet=quiet)
        return result

    def check_populations(
        self,
        table: Any,
        facts: Mapping[str, np.ndarray],
        columns: Columns = None,
        light_curves: Any = None,
        seed: int = 0,
        quiet: bool = True,
        origin: Origin | None = None,
    ) -> dict:
        """Measure what light curve, spectrum and both together tell of `facts` about the stars.

        See `pose_questions` in `checks/populations.py` for the facts.
        """
        from multistar.checks.populations import populations

        stars = self._stars(table, columns, light_curves, origin=origin)
        return populations(self.model, stars, facts, seed, quiet)

    def check_garbage(
        self,
        table: Any,
        columns: Columns = None,
        seed: int = 0,
        quiet: bool = True,
    ) -> dict:
        """Make sound stars wrong in many ways, and count who is told; see `checks/garbage.py`."""
        from multistar.checks.garbage import garbage

        return garbage(self.model, self._stars(table, columns), seed, quiet)

    def check_surveys(
        self,
        tables: Mapping[str, Any],
        label_scale: str = "",
        columns: Columns = None,
        origin: Origin | None = None,
    ) -> dict:
        """Compare the labels of the same stars, by `source_id`, in tables of several surveys.

        `tables` are by the surveys' names; with `label_scale` also with all labels on that scale,
        one that the model learnt. See `checks/surveys.py`.
        """
        from multistar.checks.surveys import check_surveys

        surveys = {
            name: self._stars(table, columns, labels=False, origin=origin)
            for name, table in tables.items()
        }
        return check_surveys(self.model, surveys, label_scale)

    def check_sky(self, folder: str | Path) -> dict:
        """Compare labels of real stars with known ones, the Sun first; see `checks/sky.py`.

        `folder` holds the tables of real stars (photometry/, giants/, clusters/).
        """
        from multistar.checks.sky import check_sky

        return check_sky(self.model, folder)

    # --- reading

    def _declared(self) -> list[Quantity]:
        """Quantities of names that only this model or its adapters know."""
        of_adapters = [q for adapter in self.adapters for q in adapter.request.quantities]
        return [*self.model.vocabulary.declared, *of_adapters]

    def _read_by_adapters(self) -> set[str]:
        """Labels that are an input of some adapter."""
        return {name for adapter in self.adapters for name in adapter.request.given}

    def _columns_of_adapters(self, table: Any) -> dict[str, str]:
        """Names of columns that adapters were fine-tuned with, as far as the table has them."""
        table.add_lower_case_names()
        named: dict[str, str] = {}
        for adapter in self.adapters:
            named |= adapter.provenance.get("columns", {})
        return {quantity: column for quantity, column in named.items() if column in table}

    def _stars(
        self,
        table: Any,
        columns: Columns,
        light_curves: Any = None,
        labels: bool | Collection[str] = False,
        origin: Origin | None = None,
    ) -> Stars:
        if light_curves is not None and "light_curve" not in self.model.vocabulary:
            raise ValueError(
                "this model reads no light curves; train one that does, or leave them out"
            )
        curves = None if light_curves is None else read_light_curves(light_curves)
        if table is None:
            if curves is None:
                raise ValueError("nothing to read: give a table, light curves, or both")
            stars = Stars.of_light_curves(curves)
            return stars if origin is None else stars.with_origin(origin)
        if isinstance(table, Stars):
            stars = table if origin is None else table.with_origin(origin)
        else:
            if self.adapters:
                table = read_columns(table)
                columns = self._columns_of_adapters(table) | dict(columns or {})
            stars = read_stars(
                table,
                columns,
                labels=labels,
                declared=self._declared(),
                origin=origin,
                measured=curves is None,
            )
        return stars if curves is None else stars.with_light_curves(curves)
