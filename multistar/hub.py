"""Models on the Hugging Face Hub.

config.json, model.safetensors and a card, as save_pretrained writes them.

Uses the network only when one of these is called. Needs `pip install huggingface_hub` (timm
brings it along).
"""

import tempfile
from pathlib import Path

from multistar.model.checkpoint import OWNED, Model, load_model, save_model


def push_to_hub(model: Model, repo: str, private: bool = False, token: str | None = None) -> str:
    """Upload a model to `repo` ("you/name"), which is made if it does not exist.

    Returns the address of the commit.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repo, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save_model(model, folder)
        return str(
            api.upload_folder(
                folder_path=folder, repo_id=repo, commit_message=f"weights {model.hash[:12]}"
            )
        )


def download_model(
    repo: str, folder: str | Path, revision: str | None = None, token: str | None = None
) -> Model:
    """Download a model to a new folder, only the files that belong to one, and load it.

    Strict, hash-checked.

    Raises FileExistsError if the folder exists, and what load_model raises.
    """
    from huggingface_hub import snapshot_download

    if Path(folder).exists():
        raise FileExistsError(f"{folder} exists already; choose another name")
    snapshot_download(
        repo, revision=revision, local_dir=folder, allow_patterns=list(OWNED), token=token
    )
    return load_model(folder)
