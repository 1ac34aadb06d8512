"""Help, and errors that paths alone tell, come before anything that takes seconds to load."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pandas", "pyarrow", "astropy", "faiss", "matplotlib", "scipy")
COMMANDS = [
    "predict",
    "embed",
    "generate",
    "inpaint",
    "view",
    "search",
    "index",
    "update",
    "erase",
    "umap",
    "check",
]
COMMANDS += ["finetune", "pretrain", "mock", "explore", "download"]
# atexit, because argparse leaves by SystemExit
RUN = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", *[name for name in {HEAVY} if name in sys.modules]))
import multistar
from multistar.cli.app import main
if len(sys.argv) > 1:
    sys.exit(main(sys.argv[1:]))
"""
MISTAKES = [
    ("predict --wrong", "required: --out"),
    ("predict stars.csv --out x.parquet --wrong", "unrecognized arguments: --wrong"),
    ("predict absent.csv --out x.parquet", "absent.csv: no such file"),
    ("predict absent --out folder", "absent: no such file or folder"),
    ("predict stars.csv --out x.docx", "known endings"),
    ("predict stars.csv --out there.parquet", "exists already"),
    ("predict stars.csv --out there.csv", "exists already"),
    ("predict stars.csv --out x.csv --model absent", "not a model folder"),
    ("predict stars.csv --out x.csv --adapter absent", "not an adapter folder"),
    ("predict stars.csv --out x.csv --columns teff", "QUANTITY=COLUMN"),
    ("predict stars.csv --out x.csv --part 1/2", "for folders of results only"),
    ("predict stars.csv --out folder --part half", "--part takes I/N"),
    ("embed --lightcurves absent --out x.parquet", "absent: no such file"),
    ("embed stars.csv --out x.fits --ignore e.safetensors", "e.safetensors: no such file"),
    ("generate absent.csv --out x.parquet", "absent.csv: no such file"),
    ("inpaint absent.csv --out x.parquet", "absent.csv: no such file"),
    ("view absent --out x.parquet", "absent: no such file"),
    ("check physics stars.csv --out there.csv", "exists already"),
    ("check disentangle stars.csv --out x --columns ebv", "QUANTITY=COLUMN"),
    ("pretrain absent.toml", "absent.toml: no such run file"),
    ("finetune absent.csv --labels y --out a", "absent.csv: no such file"),
    ("finetune stars.csv --labels y --out there.csv", "exists already"),
    ("index absent.parquet --out i", "absent.parquet: no such file"),
    ("update absent --out i", "not an index folder"),
    ("search absent --source-id 1", "not an index folder"),
    ("erase absent.csv --out e.safetensors", "absent.csv: no such file"),
    ("umap absent.parquet --out x.csv", "absent.parquet: no such file"),
    ("explore absent", "not an index folder"),
    ("download gaia absent.csv --out x", "absent.csv: no such file"),
    ("download gaia --adql absent.sql --out x", "no file 'absent.sql'"),
    ("download lightcurves absent.csv --mission tess --out x", "absent.csv: no such file"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table that is there (nobody reads it), and results that may not be replaced."""
    folder = tmp_path_factory.mktemp("startup")
    for name in ("stars.csv", "there.parquet", "there.csv"):
        (folder / name).touch()
    return folder


def run(command: str, folder) -> tuple[int, str, str, str]:
    """Exit code, stdout, stderr, and the heavy modules that were loaded by the end."""
    arguments = [sys.executable, "-c", RUN, *command.split()]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=folder)
    out, _, loaded = done.stdout.rpartition("loaded:")
    return done.returncode, out, done.stderr, loaded.strip()


@pytest.mark.parametrize("command", ["", "--version", "--help", *(f"{c} --help" for c in COMMANDS)])
def test_import_and_help_load_nothing_heavy(command, folder):
    code, out, error, loaded = run(command, folder)
    assert (code, error, loaded) == (0, "", "")
    if "--help" in command:
        assert out.startswith(f"usage: multistar {command.removesuffix('--help')}")


@pytest.mark.parametrize("command, message", MISTAKES)
def test_what_paths_alone_tell_is_told_first(command, message, folder):
    before = sorted(folder.iterdir())
    code, out, error, loaded = run(command, folder)
    assert (code, out, loaded) == (2, "", "")
    assert message in error.strip().splitlines()[-1]
    assert sorted(folder.iterdir()) == before


def test_another_package_named_encoders_is_refused(tmp_path):
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / "__init__.py").touch()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import multistar"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"Python found {tmp_path / 'encoders'}" in done.stderr.strip().splitlines()[-1]
