"""An index of stars on disk: embeddings in, nearest neighbours out."""
