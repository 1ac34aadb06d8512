"""What the package must know of one kind of measurement: the interface that every room implements.

A room (`scalars/`, `gaia_xp/`, `light_curve/`) holds one subclass of `Modality`. An instance of
it describes the slots of one model: how many numbers of this kind it reads, and which. Everything
that is done to stars, from reading a table to explaining why two of them are neighbours, goes
through these methods; no other file names a modality.

Shape letters: n star, B star of a training batch, N slot (one number) of this modality.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from encoders import Measurement
from multistar.io.config import from_table
from multistar.io.tables import Columns
from multistar.quantities import QUANTITIES, Quantity

# Name of what was read -> (n,) bool: stars that have it; and those that have it with an error.
Found = dict[str, tuple[np.ndarray, np.ndarray]]
Blocks = Mapping[str, Any]  # modality -> what is known of some stars, in the room's own form


@dataclass(frozen=True)
class ReadOptions:
    """How a table is to be read.

    Attributes
    ----------
    columns : mapping of str to str
        Quantity (or `quantity_error`) -> column name, where the file's names are not the usual
        ones.
    labels : bool or collection of str
        Which label columns are read: all, none, or those named.
    all_orders : bool
        Also read XP coefficients that the archive calls irrelevant.
    quantities : mapping of str to Quantity
        Everything that may be read by name: those of `quantities.py` and those that a user
        declared.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: bool | Collection[str] = True
    all_orders: bool = False
    quantities: Mapping[str, Quantity] = field(default_factory=lambda: QUANTITIES)


@dataclass(frozen=True)
class Hiding:
    """How often training hides a modality, or all others.

    Shares of the stars, or of the batches, between 0 and 1.

    A room with more ways to hide its numbers has a subclass. The run file's table `[hiding.NAME]`
    sets the values; they are saved with the weights.
    """

    absent: float = 0.3  # share of the stars that miss this modality
    alone: float = 0.0  # share of the stars of which nothing but this modality is known

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, float) and not 0 <= value <= 1:
                raise ValueError(f"hiding: {name}={value} must lie between 0 and 1")


def draw_coins(size: int, share: float, generator: torch.Generator) -> Tensor:
    """(size, 1) bool, True with probability `share`."""
    return torch.rand(size, 1, generator=generator) < share


@dataclass(frozen=True)
class Modality(ABC):
    """One kind of measurement as one model reads it.

    A frozen dataclass whose fields are the sizes of its slots.

    Class attributes
    ----------------
    name : str
        Key in MODALITIES, in `Stars.blocks`, in the vocabulary, and of the encoder in the network.
    hiding : type of Hiding
        What training may hide, with the defaults.
    heavy_tailed : bool
        Whether standardised values go through arcsinh.
    needs_g : bool
        Whether nothing can be read without the magnitude G.
    in_sequences : bool
        Whether the joint (autoregressive) mode is trained on its slots, and they are asked
        together with scalars. The slots of other modalities are asked apart: as many per step as
        of all those together.
    """

    name: ClassVar[str]
    hiding: ClassVar[type[Hiding]] = Hiding
    heavy_tailed: ClassVar[bool] = True
    needs_g: ClassVar[bool] = False
    in_sequences: ClassVar[bool] = False

    # --- tables: no model is needed

    @classmethod
    @abstractmethod
    def read(cls, table: Columns, options: ReadOptions, flags: np.ndarray) -> Any | None:
        """Read this modality of all rows of a table.

        Parameters
        ----------
        table : Columns
        options : ReadOptions
        flags : (n,) uint16 ndarray
            Bits of `status.BIT`; those of impossible values are set in place.

        Returns
        -------
        block or None
            What is known, in the room's own form; None if the table has no such columns.

        Raises
        ------
        ValueError
            If columns have shapes or units that cannot be meant.
        """

    @classmethod
    @abstractmethod
    def select(cls, block: Any, rows: Any) -> Any:
        """The given rows (slice, indices or boolean mask) of a block."""

    @classmethod
    @abstractmethod
    def concatenate(cls, blocks: list[Any | None], lengths: list[int]) -> Any:
        """Blocks of several tables of these lengths, one after the other.

        What is None is not observed there.
        """

    @classmethod
    @abstractmethod
    def known(cls, block: Any) -> np.ndarray:
        """(n,) bool: stars of which this modality measured anything at all. Labels do not count."""

    @classmethod
    def complete(cls, blocks: dict[str, Any], flags: np.ndarray) -> None:
        """Fill in, in place, what follows from this modality for others.

        Called when all of a table is read.
        """

    @classmethod
    def correct(cls, blocks: dict[str, Any]) -> None:
        """Correct, in place, what is known to be wrong in measurements of real stars."""

    @classmethod
    def describe_correction(cls, blocks: Blocks) -> list[str]:
        """Say, in a sentence each, what was corrected in these real stars."""
        return []

    @classmethod
    def flag_missing(cls, block: Any | None, flags: np.ndarray) -> None:
        """Set, in place, the flags that say what is missing of this modality."""

    @classmethod
    def count(cls, block: Any) -> Found:
        """Say what was read: in words -> which stars have it, and which with an error."""
        known = cls.known(block)
        return {cls.name.replace("_", " "): (known, known)}

    # --- slots: what a model reads

    @classmethod
    @abstractmethod
    def of(cls, block: Any) -> Self | None:
        """The slots that at least one star of the block has; None if there is none."""

    @property
    @abstractmethod
    def n_slots(self) -> int:
        """How many numbers a star has at most."""

    @abstractmethod
    def transform(
        self, blocks: Blocks, n: int, center: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bring n stars into the form that is shifted and scaled afterwards.

        Parameters
        ----------
        blocks : mapping of str to block
            All that is known of the stars.
        n : int
            How many stars.
        center : (N,) ndarray
            Typical transformed values of the training stars; zeros while they are not known.

        Returns
        -------
        value, sigma : (n, N) ndarray
            NaN where not observed, or of unknown error.
        """

    def pools(self) -> np.ndarray:
        """(N,) int: slots of one number share their location and scale."""
        return np.arange(self.n_slots)

    def askable(self) -> np.ndarray:
        """(N,) bool: slots that can be predicted.

        How a star was sampled is no physics and cannot.
        """
        return np.ones(self.n_slots, bool)

    def describe(self) -> str:
        """A few words for the model's card, such as "55 BP and 55 RP coefficients"."""
        return f"{self.n_slots} numbers of {self.name}"

    def parts(self) -> dict[str, list[int]]:
        """Parts that a reason names -> their slots, counted from the first of this modality."""
        return {self.name: list(range(self.n_slots))}

    # --- the sky is not the mock

    def state_mismatch(
        self, m: Measurement, center: Tensor, scale: Tensor, size: Tensor
    ) -> Measurement:
        """Standardised measurements (B, N) of real stars with errors that hold the mismatch
        stars.

        `size` (B, 1) is the mismatch in units of the measured one; 0 leaves a star as it is.
        """
        return m

    def draw_mismatch(
        self,
        m: Measurement,
        center: Tensor,
        scale: Tensor,
        size: Tensor,
        generator: torch.Generator,
    ) -> Measurement:
        """Mock measurements (B, N) made as unlike the mock as real ones are.

        Their errors hold this mismatch.
        """
        return m

    # --- training

    def draw_shown(self, keep: Tensor, hiding: Any, generator: torch.Generator) -> Tensor:
        """(B, N) bool: the numbers shown when each is kept with probability keep (B, 1)."""
        return torch.rand(len(keep), self.n_slots, generator=generator) < keep

    def draw_available(
        self, batch: int, sky: Tensor, hiding: Any, generator: torch.Generator
    ) -> Tensor:
        """(B, N) bool, or a shape that broadcasts to it.

        False where the modality, or a whole part of it, is missing.

        sky (B,) is True for stars of the sky without labels.
        """
        return ~draw_coins(batch, hiding.absent, generator)

    # --- the network

    @abstractmethod
    def encoder(self, config: Any) -> nn.Module:
        """A module of ENCODERS: Measurement (B, N) -> Tokens; `config` is the ModelConfig."""

    # --- on disk

    def to_json(self) -> dict[str, Any]:
        """The sizes, for config.json."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """The way back from `to_json`."""
        return cls(**row)

    def read_hiding(self, table: dict[str, float]) -> Hiding:
        """The shares of `[hiding.NAME]` in a run file, with the room's defaults.

        ValueError for unknown keys.
        """
        return from_table(self.hiding, table, f"hiding.{self.name}")
