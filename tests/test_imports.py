"""Every module is imported, and those that need TensorFlow to be imported are named in one list."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
LISTED = ROOT / "tests" / "modules_with_tensorflow.txt"

# Imports each module; an import of TensorFlow by one of ours fails, while Keras has its own.
_IMPORT_ALL = """
import builtins, importlib, json, sys, traceback
import keras

original = builtins.__import__

def refusing(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if name.split(".")[0] in ("tensorflow", "tensorflow_serving") and importer.split(".")[0] in ("apps", "shared"):
        raise ModuleNotFoundError("no TensorFlow here", name="tensorflow")
    return original(name, globals, locals, fromlist, level)

builtins.__import__ = refusing
failed, broken = [], {}
for name in json.loads(sys.stdin.read()):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        failed.append(name) if error.name == "tensorflow" else broken.update({name: traceback.format_exc()})
    except BaseException:
        broken[name] = traceback.format_exc()
print(json.dumps([failed, broken]))
"""


def modules() -> list[str]:
    """Return the dotted names of all modules of the apps and of shared."""
    files = (path for top in ("apps", "shared") for path in (ROOT / top).rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    return sorted(name.removesuffix(".__init__") for name in names)


def test_every_module_is_imported_and_those_that_need_tensorflow_are_listed() -> None:
    names = modules()
    finished = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    failed, broken = json.loads(finished.stdout.splitlines()[-1])
    assert broken == {}
    assert sorted(failed) == LISTED.read_text("utf-8").split()
