"""The model as MLflow serves it: code by name and files by checksum, never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from tenure.storage import load


class TenureModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is untyped here
    """Calibrated churn probability from the raw features of `tenure features`."""

    def load_context(self, context: Any) -> None:
        """Verify and read the bundle."""
        self._bundle = load(Path(context.artifacts["bundle"]))

    def predict(
        self,
        context: Any,  # noqa: ARG002 (MLflow's signature)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return `churn_probability`, one row a row of features."""
        day = self._bundle.trained_until  # features carry no date
        explained = self._bundle.explain(self._bundle.inputs(model_input), day)
        return pd.DataFrame({"churn_probability": explained.probability})


mlflow.models.set_model(TenureModel())
