"""An index of stars on disk: embeddings in, nearest neighbours out."""

try:
    import faiss  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "similarity search needs faiss: pip install 'multistar[cpu]' (or 'multistar[gpu]')"
    ) from missing
