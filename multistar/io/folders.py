"""What multistar writes, recognised by its files alone: a wrong name is told before torch loads."""

from collections.abc import Iterable
from pathlib import Path

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
REPORT = "report.html"  # beside a model, of the run that made it
MODEL_FILES = (CONFIG, WEIGHTS)
ADAPTER_FILES = ("adapter.safetensors", "adapter.json")
CARD = "card.json"  # of an index
SHIPPED = Path(__file__).parents[1] / "weights"  # models that come with the package, by name


def find_model(name: str | Path) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    name : str or Path
        A model folder, or the name of a model that comes with the package.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    FileNotFoundError
        If it is neither.
    """
    folder = Path(name)
    is_model = (folder / CONFIG).is_file()
    if not is_model and (SHIPPED / folder / CONFIG).is_file():
        folder = SHIPPED / folder
    missing = _first_missing(folder, MODEL_FILES)
    if missing:
        shipped = sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))
        raise FileNotFoundError(
            f"{folder}: not a model folder, {missing} is missing; models that come with multistar "
            f"are {shipped} (train one: multistar pretrain RUN.toml)"
        )
    return folder


def require_adapter(folder: str | Path) -> None:
    """Raise FileNotFoundError if the folder holds no adapter."""
    missing = _first_missing(folder, ADAPTER_FILES)
    if missing:
        raise FileNotFoundError(
            f"{folder}: not an adapter folder, {missing} is missing (make one: multistar finetune)"
        )


def require_index(folder: str | Path, files: Iterable[str] = (CARD,)) -> None:
    """Raise FileNotFoundError if the folder lacks one of these files of an index."""
    missing = _first_missing(folder, files)
    if missing:
        raise FileNotFoundError(
            f"{folder}: not an index folder, {missing} is missing (make one: multistar index)"
        )


def require_projection(path: str | Path) -> None:
    """Raise FileNotFoundError, with the command that makes it, if there is no such file."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such file; make it: multistar erase STARS --quantity dust --out {path}"
        )


def _first_missing(folder: str | Path, files: Iterable[str]) -> str | None:
    return next((name for name in files if not (Path(folder) / name).is_file()), None)
