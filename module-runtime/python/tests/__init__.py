"""The tests of the Python SDK: `python3 -m unittest discover -s tests -t .` in its folder, with any Python from 3.9."""

import pathlib
import sys

#: The folder of the SDK.
FOLDER = pathlib.Path(__file__).resolve().parent.parent
#: The repository.
ROOT = FOLDER.parent.parent
#: What a module's process needs in PYTHONPATH.
SOURCE = FOLDER / "src"

sys.path.insert(0, str(SOURCE))
