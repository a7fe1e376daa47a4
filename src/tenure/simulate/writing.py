"""A simulated company as files: tables, a config that reads them, and the truth in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tenure.outputs import staged_folder
from tenure.simulate.company import Company

__all__ = ["summary", "words", "write"]


def write(company: Company, folder: Path) -> None:
    """Write a company's tables as Parquet, `config.yaml` and `truth/`, all or nothing.

    Parameters
    ----------
    company : Company
    folder : Path
        Paths in the config are relative to the working directory, as `folder` is.

    Raises
    ------
    EnvironmentFault
        If the place cannot be written.
    """
    truth = company.truth
    config = yaml.safe_dump(_config(company, folder), sort_keys=False, allow_unicode=True)
    frames = {"customers": truth.customers, "panel": truth.panel, "ceiling": truth.ceiling}
    with staged_folder(folder) as beside, staged_folder(folder / "truth") as below:
        for name, table in company.tables.items():
            pq.write_table(table, beside / f"{name}.parquet", compression="zstd")
        (beside / "config.yaml").write_text(config, encoding="utf-8")
        for name, frame in frames.items():
            if len(frame):
                table = pa.Table.from_pandas(frame, preserve_index=False)
                pq.write_table(table, below / f"{name}.parquet", compression="zstd")
        facts = json.dumps(truth.facts, indent=2)
        (below / "world.json").write_text(facts + "\n", encoding="utf-8")


def _config(company: Company, folder: Path) -> dict[str, Any]:
    """Return the config of the tables in `folder`."""
    tables: dict[str, Any] = {n: {"path": str(folder / f"{n}.parquet")} for n in company.tables}
    own = {"customer_id", "signup_at", "contactable"}
    attributes = [c for c in company.tables["customers"].column_names if c not in own]
    tables["customers"]["attributes"] = {c: {"known_from": "signup_at"} for c in attributes}
    is_shop = company.truth.facts["world"] == "shop"
    churn = {"horizon_days": 90} if is_shop else (
        {"kind": "subscription", "horizon_days": 30, "grace_days": 30}
    )  # fmt: skip
    return {
        "project": f"simulated_{company.truth.facts['world']}",
        "currency": "EUR",
        "data": {"tables": tables},
        "churn": churn,
    }


def summary(company: Company) -> dict[str, Any]:
    """Return rows by table, who left, and how well the filter knows who will.

    Returns
    -------
    dict
        `rows`, `customers`, `left`, and, with truth, `base_rate`, `ceiling_auc` (also of
        purchases alone) pooled over the filter's cutoffs.
    """
    truth = company.truth
    found: dict[str, Any] = {
        "world": truth.facts["world"],
        "customers": len(truth.customers),
        "left": int(truth.customers["left_at"].notna().sum()),
        "rows": {name: table.num_rows for name, table in company.tables.items()},
        "dirt": truth.facts["dirt"],
    }
    said = truth.ceiling
    if len(said):
        churned = said["churned"].to_numpy(dtype=bool)
        found["base_rate"] = float(churned.mean())
        found["ceiling_auc"] = _auc(churned, said["probability"].to_numpy())
        if "probability_purchases_only" in said:
            simple = said["probability_purchases_only"].to_numpy()
            found["ceiling_auc_purchases_only"] = _auc(churned, simple)
    return found


def words(found: dict[str, Any], folder: Path) -> str:
    """Put a summary into lines for the terminal."""
    lines = [f"{name:14}{rows:>12,} rows" for name, rows in found["rows"].items()]
    lines.append(f"{found['left']:,} of {found['customers']:,} customers have left by the end.")
    if found.get("ceiling_auc") is not None:
        lines.append(f"{found['base_rate']:.1%} churn within the horizon, over all cutoffs.")
        ceiling = f"Nobody can tell them apart better than AUC {found['ceiling_auc']:.3f}"
        simple = found.get("ceiling_auc_purchases_only")
        lines.append(ceiling + (f" ({simple:.3f} from purchases alone)." if simple else "."))
    dirty = sum(n for kinds in found["dirt"].values() for n in kinds.values())
    lines.append(f"{dirty:,} broken rows are in the tables; truth/world.json counts them.")
    lines.append(f"Train on it: tenure train -c {folder / 'config.yaml'}")
    return "\n".join(lines)


def _auc(positive: Any, score: Any) -> float | None:
    n = int(positive.sum())
    if n in (0, len(positive)):
        return None
    ranks = pd.Series(score).rank().to_numpy()
    wins = ranks[positive].sum() - n * (n + 1) / 2
    return float(np.round(wins / (n * (len(positive) - n)), 4))
