"""Make ``fieldnets.apps`` and ``fieldnets.shared`` of files that import each other as ``apps`` and ``shared``.

Those names stand in the sources because the two folders are the top of the repository, where
``python -m apps.sentiment`` works without any installation. Elsewhere they belong to the user: a Django project has an
``apps`` too. So each module of this package gets its own ``__builtins__``, which Python documents (under ``exec``) as
the way to control what executed code finds there, with an ``__import__`` that reads our two names as parts of this
package. Nothing is put into ``sys.modules`` under them, and no other module imports otherwise than before.
docs/decisions/0010-one-namespace.md says what else was weighed.

Only modules that Python has loaded already are imported here, so that no file of the current folder is taken for one.
"""

import builtins
import importlib.machinery
import os
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

OURS = ("apps", "shared")
PACKAGE = __name__.partition(".")[0]
_HERE = os.path.dirname(os.path.abspath(__file__))
# A wheel has both folders inside this package; a checkout has them at its top, beside src/.
FOLDER = _HERE if os.path.isdir(os.path.join(_HERE, "shared")) else os.path.dirname(os.path.dirname(_HERE))


def install() -> None:
    """Let Python find our packages; to do it again changes nothing."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)


def say_interrupted() -> None:
    """Let Ctrl-C end a command of ours with one line and code 130 while it is still being imported, too.

    ``shared.cli`` does so from then on. A program of somebody else that imports fieldnets keeps its own way.
    """
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    main = os.path.join(FOLDER, "apps", name.replace("-", "_"), "__main__.py")
    before = sys.excepthook
    if name != PACKAGE and not (name and os.path.isfile(main)):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            before(kind, error, trace)
            return
        sys.stderr.write(f"{name}: interrupted\n")
        sys.stderr.flush()
        os._exit(130)

    sys.excepthook = hook


def forget_current_folder() -> None:
    """Drop what ``python -m`` put first on the path: no file of the folder where it is run is ours to import."""
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
        del sys.path[0]


def run(namespace: dict[str, Any]) -> None:
    """Execute a module of ours in ``namespace``, for ``python -m``, which does not leave that to the loader."""
    if namespace["__name__"] == "__main__":
        forget_current_folder()
    namespace["__loader__"].execute(namespace["__spec__"].name, namespace)


class Finder:
    """Finds ``fieldnets.apps``, ``fieldnets.shared`` and what is in them, and nothing else."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module is, as a finder on ``sys.meta_path`` must."""
        package, _, rest = fullname.partition(".")
        if package != PACKAGE or rest.partition(".")[0] not in OURS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, [FOLDER] if rest in OURS else path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


class Loader(importlib.machinery.SourceFileLoader):
    """Executes a file, its cached bytecode included, with our ``__builtins__``."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Execute a module that is imported."""
        self.execute(module.__name__, vars(module))

    def execute(self, fullname: str, namespace: dict[str, Any]) -> None:
        """Execute a module in ``namespace``."""
        namespace["__builtins__"] = _BUILTINS
        code = super().get_code(fullname)
        if code is None:
            raise ImportError(f"{fullname}: expected a source file. Received: {self.path}", name=fullname)
        exec(code, namespace)

    def get_code(self, fullname: str) -> types.CodeType | None:  # noqa: ARG002
        """Return what ``python -m`` executes instead of the module: a call of `run`."""
        return _RUN


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> types.ModuleType:
    """Import what an import statement in one of our files means."""
    top = name.partition(".")[0]
    if level or top not in OURS:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = builtins.__import__(f"{PACKAGE}.{name}", globals, locals, fromlist or (), 0)
    return module if fromlist else sys.modules[f"{PACKAGE}.{top}"]  # `import apps.x` binds `apps`


_BUILTINS = {**vars(builtins), "__import__": _import}
_RUN = compile(f"import {__name__} as namespace\nnamespace.run(globals())", __file__, "exec")
