"""multistar: a multimodal foundation model for stars."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multistar.api import MultiStar
    from multistar.index.star_index import StarIndex
    from multistar.stars import Stars, read_stars


def _require_own_encoders() -> None:
    """ImportError if Python would import another `encoders`; found, not imported: it loads torch."""
    spec = importlib.util.find_spec("encoders")
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    if found != Path(__file__).resolve().parents[1] / "encoders" / "__init__.py":
        raise ImportError(f"multistar needs its own package `encoders`, but Python found {found}")


_require_own_encoders()

__version__ = "0.1.0"
__all__ = ["MultiStar", "StarIndex", "Stars", "read_stars"]

_HOME = {
    "MultiStar": "multistar.api",
    "StarIndex": "multistar.index.star_index",
    "Stars": "multistar.stars",
    "read_stars": "multistar.stars",
}


def __getattr__(name: str):
    """Import the front door's names on first use, so that `import multistar` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'multistar' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
