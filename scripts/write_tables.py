"""Write the tables of README and documentation anew, from docs/results/*.json.

python scripts/write_tables.py
"""

from pathlib import Path

from multistar.checks.result_tables import fill_document
from multistar.checks.results import FOLDER
from multistar.io.files import atomic_write

DOCUMENTS = (Path("README.md"), *sorted(Path("docs").rglob("*.md")))


def main() -> None:
    for path in DOCUMENTS:
        text = path.read_text()
        filled = fill_document(text, FOLDER)
        if filled != text:
            with atomic_write(path, overwrite=True) as temporary:
                temporary.write_text(filled)
            print(path)


if __name__ == "__main__":
    main()
