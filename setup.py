"""What pyproject.toml cannot say: ``apps`` and ``shared`` are installed as parts of the package ``fieldnets``.

As top-level packages they would meet those of others. An editable installation copies nothing: ``src/`` is put on the
path, and ``fieldnets._namespace`` finds both folders in the checkout.
"""

import pathlib
import shutil

import setuptools
from setuptools.command import build_py

HERE = pathlib.Path(__file__).parent


class BuildPy(build_py.build_py):
    """Builds ``src/`` as usual and puts the two folders into it."""

    def run(self) -> None:
        """Begin with an empty folder: what an earlier build left would be packed again."""
        if self.editable_mode:
            return super().run()
        target = pathlib.Path(self.build_lib)
        shutil.rmtree(target, ignore_errors=True)
        super().run()
        for folder in ("apps", "shared"):
            unwanted = shutil.ignore_patterns("__pycache__", "*.py[co]")
            shutil.copytree(HERE / folder, target / "fieldnets" / folder, ignore=unwanted)
        return None


setuptools.setup(cmdclass={"build_py": BuildPy})
