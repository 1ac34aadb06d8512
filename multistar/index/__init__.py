"""An index of stars on disk: embeddings in, nearest neighbours out."""

from multistar._compat import NO_FAISS

try:
    import faiss  # noqa: F401
except ImportError as missing:
    raise ImportError(NO_FAISS) from missing
