"""The folders that multistar writes: data files, and one JSON that says what they are.

A model, an adapter and an index have the same: the JSON holds the format, the version that wrote
it, what describes the content, and the hashes of the data files. Files are read only if they are
those that were written.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from multistar import __version__
from multistar.io.files import sha256

MOST_BYTES = 10_000_000  # of the JSON; more is none of ours


@dataclass(frozen=True)
class Kind:
    """One kind of folder.

    Attributes
    ----------
    what : str
        In words, for errors: "a model", "an adapter".
    description : str
        Name of the JSON file.
    format : int
        The one that is written.
    readable : collection of int
        Formats that are read.
    again : str
        What to do if the folder is damaged, for errors.
    """

    what: str
    description: str
    format: int
    readable: Collection[int]
    again: str

    def describe(self, folder: Path, described: Mapping[str, Any]) -> None:
        """Write the JSON."""
        written = {"format": self.format, "multistar": __version__, **described}
        (folder / self.description).write_text(json.dumps(written, indent=1))

    def read(self, folder: Path, texts: Collection[str] = ()) -> dict[str, Any]:
        """Read the JSON.

        Parameters
        ----------
        folder : Path
        texts : collection of str
            Keys whose values must be strings.

        Returns
        -------
        dict

        Raises
        ------
        ValueError
            If it is not what `describe` wrote, or of a format that this version does not read.
        """
        path = folder / self.description
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ValueError(f"{path}: {size} bytes is no description of {self.what}")
        try:
            described = json.loads(path.read_text())
            found = described["format"]
            wrong = [key for key in texts if not isinstance(described[key], str)]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not readable as {self.what} ({error!r})") from error
        if found not in self.readable:
            expected = " or ".join(map(str, self.readable))
            raise ValueError(
                f"{path}: expected {self.what} of format {expected}, got {found!r}; is multistar "
                f"{__version__} too old? Otherwise {self.again}"
            )
        if wrong:
            raise ValueError(f"{path}: not readable as {self.what} ({wrong[0]} is no text)")
        return described

    def check_file(self, path: Path, digest: str) -> None:
        """Raise ValueError if a data file is not the one whose hash the JSON holds."""
        found = sha256(path)
        if found != digest:
            raise ValueError(
                f"{path}: SHA-256 is {found[:12]}..., {self.description} says {digest[:12]}...; "
                f"{self.again}"
            )


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors as safetensors, readable by all, and return the SHA-256 of the file."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone
    return sha256(path)
