"""`tenure kpis` from files to files."""

import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.config import load_config
from tenure.errors import ConfigError
from tenure.kpis import kpis

ORDERS = "order,who,when,paid,promised,arrived\n" + "".join(
    f"o{i},c{i % 40},2025-0{1 + i % 4}-{1 + i % 27:02d} 10:00,{20 + i % 7}.50,"
    f"2025-0{1 + i % 4}-{1 + i % 27:02d},{'' if i % 5 == 0 else f'2025-0{1 + i % 4}-28 09:00'}\n"
    for i in range(160)
)
REVIEWS = "order,who,sent,answered,stars\n" + "".join(
    f"o{i},c{i % 40},2025-0{1 + i % 4}-27,2025-0{1 + i % 4}-28 12:00,{1 + i % 5}\n"
    for i in range(160)
)
CONFIG = """
project: small
timezone: Europe/Berlin
data:
  tables:
    transactions:
      path: orders.csv
      columns: {transaction_id: order, customer_id: who, ts: when, amount: paid,
                promised_at: promised, delivered_at: arrived}
    surveys:
      path: reviews.csv
      columns: {transaction_id: order, customer_id: who, sent_at: sent, answered_at: answered,
                score: stars, kind: {value: review}}
churn: {horizon_days: 30}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    (tmp_path / "shop.yaml").write_text(CONFIG)
    return tmp_path


def test_the_table_is_written_whole_with_its_columns_and_types(project):
    done = kpis(load_config("shop.yaml"))
    schema = pq.read_schema("out/small/kpis.parquet")
    assert schema.names == [
        "period", "figure", "by", "group", "n", "value", "lower", "upper", "unit"
    ]  # fmt: skip
    types = [str(schema.field(c).type) for c in ("period", "n", "value")]
    assert types == ["date32[day]", "int64", "double"]
    assert len(done.table) == pq.read_metadata("out/small/kpis.parquet").num_rows
    assert [p.name for p in (project / "out" / "small").iterdir()] == ["kpis.parquet"]


def test_the_command_prints_one_json_object(project):
    result = CliRunner().invoke(app, ["kpis", "-c", "shop.yaml", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    reviews = found["figures"]["review_mean"]
    assert reviews["rows"][0]["n"] == 120  # those of April come after the last order
    assert reviews["rows"][0]["value"] == pytest.approx(3)
    assert found["not_computed"]["nps"] == "no row counts towards it"


def test_the_command_prints_formulas_and_ranges(project):
    result = CliRunner().invoke(app, ["kpis", "-c", "shop.yaml"])
    assert result.exit_code == 0, result.output
    assert "on_time_rate: Of the orders promised for the period" in result.stdout
    assert "out/small/kpis.parquet" in result.stdout


def test_a_goal_on_no_figure_stops_before_reading(project):
    (project / "orders.csv").unlink()
    goal = "goals: [{name: g, kpi: npss, change: 1, from: 2025-02-01}]\n"
    (project / "shop.yaml").write_text(CONFIG + goal)
    with pytest.raises(ConfigError, match="did you mean 'nps'"):
        kpis(load_config("shop.yaml"))
