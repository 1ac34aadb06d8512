"""Formats that results are written in, by the ending of the file's name."""

from pathlib import Path

ASTROPY_FORMATS = {
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
}


def check_ending(path: str | Path, vectors: bool = False) -> None:
    """Before long work: ValueError if no writer knows the ending, or if it cannot hold vectors."""
    known = [".parquet", *ASTROPY_FORMATS]
    if Path(path).suffix not in known:
        raise ValueError(f"{path}: cannot tell the format from the name; known endings are {known}")
    if vectors and Path(path).suffix == ".csv":
        raise ValueError(
            f"{path}: CSV cannot hold embeddings, samples or spectra; use .parquet, .fits, .vot or .ecsv"
        )
