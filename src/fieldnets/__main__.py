"""``python -m fieldnets``: the same as the command ``fieldnets``."""

import sys

from fieldnets import _namespace

if __name__ == "__main__":
    _namespace.forget_current_folder()
    from fieldnets.apps.__main__ import main

    sys.exit(main())
