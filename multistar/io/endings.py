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
    """Refuse a name that no writer can write to, before long work.

    Parameters
    ----------
    path : str or Path
        Where a table is to be written.
    vectors : bool
        Whether the table has columns of vectors.

    Raises
    ------
    ValueError
        If no writer knows the ending, or if the format cannot hold vectors.
    """
    suffix = Path(path).suffix
    known = [".parquet", *ASTROPY_FORMATS]
    if suffix not in known:
        raise ValueError(f"{path}: cannot tell the format from the name; known endings are {known}")
    if vectors and suffix == ".csv":
        raise ValueError(
            f"{path}: CSV cannot hold embeddings, samples or spectra; "
            "use .parquet, .fits, .vot or .ecsv"
        )
