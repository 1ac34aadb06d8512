"""What multistar writes, recognised by its files alone: a wrong name is told before torch loads."""

from collections.abc import Iterable
from pathlib import Path

MODEL_FILES = CONFIG, WEIGHTS = "config.json", "model.safetensors"
ADAPTER_FILES = "adapter.safetensors", "adapter.json"
CARD = "card.json"  # of an index
SHIPPED = Path(__file__).parents[1] / "weights"  # models that come with the package, by name


def find_model(name: str | Path) -> Path:
    """A model folder as it is; otherwise the model of that name that comes with the package.

    Raises FileNotFoundError if it is neither.
    """
    folder = Path(name)
    if not (folder / CONFIG).is_file() and (SHIPPED / folder / CONFIG).is_file():
        folder = SHIPPED / folder
    if lacking := _lacking(folder, MODEL_FILES):
        shipped = sorted(p.parent.name for p in SHIPPED.glob(f"*/{CONFIG}"))
        raise FileNotFoundError(
            f"{folder}: not a model folder, {lacking} is missing; models that come with multistar "
            f"are {shipped} (train one: multistar pretrain RUN.toml)"
        )
    return folder


def require_adapter(folder: str | Path) -> None:
    """FileNotFoundError if the folder holds no adapter."""
    if lacking := _lacking(folder, ADAPTER_FILES):
        raise FileNotFoundError(
            f"{folder}: not an adapter folder, {lacking} is missing (make one: multistar finetune)"
        )


def require_index(folder: str | Path, files: Iterable[str] = (CARD,)) -> None:
    """FileNotFoundError if the folder lacks one of these files of an index."""
    if lacking := _lacking(folder, files):
        raise FileNotFoundError(
            f"{folder}: not an index folder, {lacking} is missing (make one: multistar index)"
        )


def require_eraser(path: str | Path) -> None:
    """FileNotFoundError if there is no such file."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such file; make it: multistar erase STARS --quantity dust --out {path}"
        )


def _lacking(folder: str | Path, files: Iterable[str]) -> str | None:
    return next((name for name in files if not (Path(folder) / name).is_file()), None)
