"""What is installed is complete: a wheel in an empty environment runs from anywhere."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import multistar

ROOT = Path(__file__).parents[1]


def test_front_door():
    for name in multistar.__all__:
        assert getattr(multistar, name).__name__ == name


def test_the_wheel_holds_everything_and_runs_from_the_root_folder(tmp_path):
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
                   check=True, capture_output=True)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    kept = {
        path.relative_to(ROOT).as_posix()
        for folder in ("multistar", "encoders")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not kept - packed
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", python,
                    wheel], check=True)  # fmt: skip
    # the dependencies come from this environment, our own code from the wheel
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(str(Path(sys.prefix) / site.relative_to(environment)))
    shown = subprocess.run(
        [environment / "bin" / "multistar", "--help"], cwd="/", check=True, capture_output=True
    )
    assert b"pretrain" in shown.stdout
    code = (
        "import multistar.mock.sed as s; from multistar.model.checkpoint import load_model; "
        "print(s.__file__, len(s.load_sed_table().wavelength), load_model('mini').hash)"
    )
    printed = subprocess.run(
        [python, "-c", code], cwd="/", check=True, capture_output=True, text=True
    ).stdout
    assert str(environment) in printed


def test_import_is_light():
    """`import multistar` neither imports torch-sized things it does not need nor touches the network."""
    code = "import sys, multistar; print('timm' in sys.modules, 'gaiaxpy' in sys.modules, 'faiss' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert printed.split() == ["False"] * 3


def test_no_pickle_in_the_package():
    for path in [*ROOT.glob("multistar/**/*.py"), *ROOT.glob("encoders/**/*.py")]:
        text = path.read_text()
        assert "import pickle" not in text
        assert "torch.load" not in text
