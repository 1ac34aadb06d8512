"""Files of dust maps, fetched by dustmaps into its own folder."""

import importlib
from pathlib import Path

# Maps whose files dustmaps fetches, in the module of its name, and about how much [MB].
DOWNLOADABLE = {"sfd": 130, "planck": 1600, "bayestar": 700}


def download_dust(name: str) -> Path:
    """Let dustmaps fetch the files of a map, which `--dust NAME` then opens.

    Parameters
    ----------
    name : {"sfd", "planck", "bayestar"}

    Returns
    -------
    Path
        The folder of dustmaps, where the files are.

    Raises
    ------
    ValueError
        For another name.
    ImportError
        Without dustmaps.
    OSError
        If the archive does not answer, or what it sends is not what dustmaps expects.
    """
    if name not in DOWNLOADABLE:
        raise ValueError(f"expected one of {list(DOWNLOADABLE)}, got {name!r}; bh needs no files")
    try:
        package = importlib.import_module(f"dustmaps.{name}")
        from dustmaps.std_paths import data_dir
    except ImportError as error:
        raise ImportError("dust maps need dustmaps: pip install 'multistar[maps]'") from error
    try:
        package.fetch()
    except Exception as error:  # dustmaps raises what its ways of downloading do
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"dustmaps could not fetch the map {name}: {reason}") from error
    return Path(data_dir())
