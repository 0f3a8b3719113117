"""fieldnets as a library: ``from fieldnets.apps.sentiment import config``, ``from fieldnets.shared import files``.

The code lies in ``apps/`` and ``shared/`` of a checkout, and in this package of an installation. A program that imports
fieldnets keeps its own ``apps`` and ``shared``, if it has any; ``_namespace`` sees to that.
"""

from fieldnets import _namespace

_namespace.install()
_namespace.say_interrupted()
