"""The heavy libraries, imported and nothing done with them: what the fork server of ``tests.commands`` loads once."""

from shared.training import runtime

runtime.quiet_logs()

import keras  # noqa: E402, F401
import sklearn.linear_model  # noqa: E402, F401
