"""What a run trains on: tables of any size, standardised once and memory-mapped, split by star."""

import dataclasses
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from encoders import Measurement
from multistar.io.columns import Columns
from multistar.io.files import refuse_existing
from multistar.io.tables import read_columns
from multistar.modalities import MODALITIES
from multistar.model.checkpoint import Model, load_model
from multistar.model.extend import with_alignment, with_labels
from multistar.model.standardise import Standardiser
from multistar.model.vocabulary import Vocabulary
from multistar.quantities import QUANTITIES, Quantity
from multistar.reading import describe_reading, readable_names
from multistar.stars import Stars, concatenate_stars, read_stars
from multistar.training.add_encoder import add_encoder, freeze_core
from multistar.training.labels import parse_labels
from multistar.training.run import KINDS, DataConfig, RunConfig
from multistar.training.sky import with_gaia_photometry
from multistar.training.workers import Workers

FIT_STARS = 200_000  # from them come the vocabulary and the scale of every number
MOST_HELD_OUT = 50_000  # stars; more say nothing new about calibration
AT_ONCE = 50_000  # stars that are standardised together
EVERYTHING = {*QUANTITIES, *MODALITIES}
PARTS = ("train", "validation", "sky", "unseen")
DTYPES = {"value": np.float32, "sigma": np.float32, "observed": np.bool_}


@dataclass
class Dataset:
    """A model before training and the stars for it, standardised.

    sky: real stars without labels, which teach what spectra look like; none in most runs.
    """

    model: Model
    train: Measurement
    validation: Measurement
    sky: Measurement


def held_out(source_id: np.ndarray, share: float) -> np.ndarray:
    """(n,) True for the stars kept for validation, decided by a hash of the id, so one star is on one side."""
    x = source_id.astype(np.uint64)
    for shift, factor in (
        (30, 0xBF58476D1CE4E5B9),
        (27, 0x94D049BB133111EB),
    ):  # the splitmix64 finaliser
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x ^ (x >> np.uint64(31))) < np.uint64(share * 2**64)


def stars_folder(config: RunConfig) -> Path:
    """Where an unfinished run keeps its standardised stars: beside the model to be."""
    return Path(config.out).with_name(Path(config.out).name + ".stars")


def load_dataset(
    config: RunConfig, group: Workers, say: Callable[[str], None] = lambda text: None
) -> Dataset:
    """Read config.data.

    Under torchrun the first process writes the standardised stars, and all map them.

    Parameters
    ----------
    config : RunConfig
    group : Workers
    say : callable
        Told what was read of each table, in words.

    Raises
    ------
    FileNotFoundError, ValueError
        For tables that are missing, lack a label that the run names, or are too small.
    """
    data, folder = config.data, stars_folder(config)
    model = _begin(config)
    if group.rank == 0:
        refuse_existing(folder, True, PARTS)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        readable = readable_names(model.vocabulary, model.vocabulary.labels)
        train = (read_labelled(read_columns(f), data, readable, say) for f in tables(data.train))
        rng = np.random.default_rng(config.training.seed)
        sky = (_read_sky(file, data, rng) for file in tables(data.sky))
        _write(folder, PARTS[:2], train, data.held_out, model.standardiser)
        _write(folder, PARTS[2:], sky, data.sky_held_out, model.standardiser)
    group.wait()
    train, validation, sky, _ = (_open(folder / part, model.vocabulary.n_slots) for part in PARTS)
    if len(train.value) < config.training.batch or len(validation.value) < 2:
        raise ValueError(
            f"{', '.join(data.train)}: {len(train.value)} training and {len(validation.value)} held-out stars are too "
            f"few for batches of {config.training.batch}"
        )
    _check_labels(model.vocabulary, train, data)
    # of all tables, which stand one after the other
    every = -(-len(validation.value) // MOST_HELD_OUT)
    return Dataset(model, train, validation.rows(slice(None, None, every)), sky)


def _check_labels(vocabulary: Vocabulary, train: Measurement, data: DataConfig) -> None:
    """ValueError if the model would forget how to predict a label that no star teaches it."""
    slots = list(vocabulary.label_slots)
    taught = train.observed[:, slots].any(0).tolist()
    if silent := [n for n, known in zip(vocabulary.labels, taught, strict=True) if not known]:
        raise ValueError(
            f"{', '.join(data.train)}: no training star has {', '.join(silent)}, which the model "
            "would go on predicting; name the labels that it shall learn: [data] labels = [...]"
        )


def tables(paths: list[str]) -> list[Path]:
    """The files themselves; a folder stands for the Parquet files in it."""
    found = []
    for path in map(Path, paths):
        inside = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not inside:
            raise FileNotFoundError(f"{path}: a folder without Parquet files")
        found += inside
    return found


def _begin(config: RunConfig) -> Model:
    """The model to start from, or a fresh one whose vocabulary and scales come from stars of all tables."""
    labels = parse_labels(config.data.labels)
    if config.start:
        model = load_model(config.start).with_mismatch(config.model.mismatch)
        if config.model.alignment not in ("", model.config.alignment):
            model = with_alignment(model, config.model.alignment)
        if labels:
            known = model.vocabulary.labels
            model = with_labels(model, labels)
            if new := [quantity.name for quantity in labels if quantity.name not in known]:
                model.standardiser.fit_scalars(_some(config.data), new)
        if not config.add_encoder:
            return model
        larger = add_encoder(model, load_model(config.add_encoder))
        if config.training.only_added:
            freeze_core(larger, model)
        # for the provenance: what the run goes on from
        larger.hash, larger.provenance = model.hash, model.provenance
        return larger
    if config.add_encoder:
        raise ValueError(
            f"add_encoder={config.add_encoder!r} needs a model to be added to: name it as `start`"
        )
    stars = _some(config.data)
    own = [quantity for quantity in labels if quantity.name not in QUANTITIES]
    vocabulary = _vocabulary(stars, own)
    if not vocabulary.labels:
        raise ValueError(
            f"{config.data.train}: no label column found; expected some of teff, logg, m_h, ..."
        )
    torch.manual_seed(config.training.seed)
    model = Model.fresh(config.model, vocabulary)
    model.standardiser.fit(stars)
    model.network.fit(model.standardiser(stars))
    return model


def _vocabulary(stars: Stars, own: Sequence[Quantity]) -> Vocabulary:
    """What the stars have; own: labels that the table of quantities does not know."""
    names = {quantity.name for quantity in own}
    known = {name: scalar for name, scalar in stars.scalars.items() if name not in names}
    vocabulary = Vocabulary.of({**stars.blocks, "scalars": known})
    return vocabulary.with_scalars(vocabulary.scalar_part.with_quantities((), tuple(own)))


def _some(data: DataConfig) -> Stars:
    """Up to FIT_STARS training stars, as many from each table, evenly spread over its rows."""
    files, parts = tables(data.train), []
    for file in files:
        stars = read_labelled(read_columns(file), data)
        stars = stars.select(~held_out(stars.source_id, data.held_out))
        parts.append(stars.select(slice(None, None, max(1, len(stars) * len(files) // FIT_STARS))))
    return concatenate_stars(parts)


def read_labelled(
    table: Columns,
    data: DataConfig,
    readable: Collection[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Stars:
    """Read a table of training stars; ValueError if it lacks a label that the run names.

    Parameters
    ----------
    table : Columns
    data : DataConfig
        Of which names of columns and labels, and `only`, are used.
    readable : collection of str
        What the model reads, for what is said.
    say : callable
        Told what was read, in words.
    """
    labels = parse_labels(data.labels)
    own = [quantity for quantity in labels if quantity.name not in QUANTITIES]
    names = [quantity.name for quantity in labels]
    stars = read_stars(table, data.columns, labels=names or True, declared=own)
    reading = describe_reading(table, stars, readable or {*EVERYTHING, *names}, own)
    if missing := [name for name in names if name not in stars.scalars]:
        raise ValueError(
            f"{table.origin}: no column of {', '.join(missing)}, which data.labels names; say which one it "
            f'is, e.g. [data.columns] {missing[0]} = "NAME"\n{reading}'
        )
    say(str(reading))
    return _only(stars, data.only)


def _only(stars: Stars, modalities: list[str]) -> Stars:
    """The stars with measurements of these modalities alone, and all labels."""
    if not modalities:
        return stars
    wanted = {"label", *(KINDS[name] for name in modalities if name in KINDS)}
    scalars = {}
    for name, scalar in stars.scalars.items():
        kind = QUANTITIES[name].kind if name in QUANTITIES else "label"
        if kind in wanted:
            scalars[name] = scalar
    others = {name: block for name, block in stars.blocks.items() if name in modalities}
    return dataclasses.replace(stars, blocks={"scalars": scalars} | others)


def _read_sky(file: Path, data: DataConfig, rng: np.random.Generator) -> Stars:
    """As users' tables are read: orders that the archive calls irrelevant are not observed."""
    stars = read_stars(file)
    return _only(with_gaia_photometry(stars, rng), data.only)


def _write(
    folder: Path,
    names: tuple[str, ...],
    parts: Iterable[Stars],
    share: float,
    standardiser: Standardiser,
) -> None:
    """Append the stars of all parts to one set of arrays for each of names: those kept and those held out."""
    targets = [folder / name for name in names]
    for target in targets:
        target.mkdir()
        for field in DTYPES:
            (target / field).touch()
    for stars in parts:
        for start in range(0, len(stars), AT_ONCE):
            part = stars.select(slice(start, start + AT_ONCE))
            out = torch.from_numpy(held_out(part.source_id, share))
            m = standardiser(part)
            for target, which in zip(targets, (~out, out), strict=True):
                _append(target, m.rows(which))


def _append(folder: Path, m: Measurement) -> None:
    for field in DTYPES:
        with open(folder / field, "ab") as stream:
            vars(m)[field].numpy().tofile(stream)


def _open(folder: Path, n_slots: int) -> Measurement:
    """Arrays on disk as tensors (n, n_slots); mapped copy-on-write, because torch has no read-only tensors."""
    arrays = {}
    for field, dtype in DTYPES.items():
        if (folder / field).stat().st_size:
            arrays[field] = np.memmap(folder / field, dtype, "c").reshape(-1, n_slots)
        else:
            arrays[field] = np.empty((0, n_slots), dtype)
    return Measurement(**{field: torch.from_numpy(array) for field, array in arrays.items()})
