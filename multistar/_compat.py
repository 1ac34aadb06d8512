"""Guards for libraries whose import does more, or less, than it should."""

import importlib.util
import warnings


def shield_torchvision() -> None:
    """Let timm import where torchvision was built for another torch (CPU wheels from plain PyPI).

    Such a torchvision fails at import because its operator `nms` is missing. multistar uses no
    torchvision operator, so declaring the names is enough.
    """
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return  # absent: timm says so itself
    except RuntimeError:
        import torch

        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)  # the definitions live as long as the object


_KEPT: list = []


def load_lightkurve():
    """lightkurve, an optional extra, without its warning about an optional part of its own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import lightkurve
    except ImportError as error:
        raise ImportError(
            "lightkurve is not installed: pip install 'multistar[lightcurves]'"
        ) from error
    return lightkurve


def check_explore() -> None:
    """Before the page of `multistar explore` is made: ImportError if the extra that it needs is not installed."""
    if absent := [
        name for name in ("panel", "datashader") if importlib.util.find_spec(name) is None
    ]:
        raise ImportError(f"{' and '.join(absent)} not installed: pip install 'multistar[explore]'")


NO_FAISS = "similarity search needs faiss: pip install 'multistar[cpu]' (or 'multistar[gpu]')"


def check_faiss() -> None:
    """Before anything of an index is done: ImportError if faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        raise ImportError(NO_FAISS)


def load_tap():
    """The class of astroquery's TAP+ client, an optional extra."""
    try:
        from astroquery.utils.tap import TapPlus
    except ImportError as error:
        raise ImportError("astroquery is not installed: pip install 'multistar[gaia]'") from error
    return TapPlus


def load_gaiaxpy() -> None:
    """Import GaiaXPy without its side effect: it switches all of matplotlib to LaTeX, which many lack."""
    import matplotlib

    before = matplotlib.rcParams["text.usetex"]
    import gaiaxpy  # noqa: F401

    matplotlib.rcParams["text.usetex"] = before
