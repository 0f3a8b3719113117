"""What MLflow loads a tracked network with: ``mlflow.pyfunc.load_model("runs:/ID/model").predict({"text": [...]})``.

The network as it is: logits for raw inputs. Calibration, threshold and abstention are the run's and the bundle's.
"""

import importlib
import json
import pathlib
from typing import Any

import numpy as np


class Network:
    """A Keras network behind MLflow's interface of Python functions."""

    def __init__(self, network: Any) -> None:
        """Take the loaded network."""
        self._network = network

    def predict(self, data: Any, params: Any = None) -> np.ndarray:
        """Return the logits of input name -> array of rows."""
        del params
        inputs = {
            tensor.name: self._tensor(np.asarray(data[tensor.name]), tensor.dtype) for tensor in self._network.inputs
        }
        named = isinstance(self._network.input, dict)
        return np.asarray(self._network(inputs if named else next(iter(inputs.values())), training=False))

    @staticmethod
    def _tensor(rows: np.ndarray, dtype: str) -> Any:
        import keras

        return keras.ops.convert_to_tensor(rows.astype(object) if dtype == "string" else rows, dtype=dtype)


def _load_pyfunc(path: str) -> Network:
    """Load what ``shared.runs.tracking.write_model`` wrote; MLflow knows the function by this name."""
    import keras

    folder = pathlib.Path(path)
    # Its layers give Keras the names that the file has.
    importlib.import_module(f"{json.loads((folder / 'app.json').read_text())['package']}.run")
    return Network(keras.saving.load_model(folder / "model.keras", compile=False))
