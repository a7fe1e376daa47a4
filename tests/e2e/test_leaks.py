"""Signs of a leak come first: on the command line, in the summary, and in the report."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

CONFIG = """\
project: phones
data:
  tables:
    customers:
      path: customers.csv
      columns: {customer_id: id, label: left}
      attributes: all
churn: {kind: label}
"""


def people(n=400, *, leaking):
    """Draw customers; if leaking, with a column filled in as they left, and ids dealt after it."""
    rng = np.random.default_rng(4)
    months = rng.integers(1, 60, n)
    left = rng.random(n) < 1 / (1 + np.exp(0.06 * months - 1))
    frame = pd.DataFrame({"id": np.arange(n) + 100, "months": months, "left": left.astype(int)})
    if leaking:
        frame["goodbye"] = pd.Series(rng.choice(["call", "mail"], n)).where(left)
        frame["id"] = 100 + np.argsort(np.lexsort((rng.random(n), left)))
    return frame


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG, encoding="utf-8")
    people(leaking=True).to_csv("customers.csv", index=False)
    return tmp_path


def test_the_check_names_every_sign_and_what_to_do(project, run):
    said = run("check", "--leaks", "-c", "c.yaml")
    assert said.code == 0, said.err
    assert "cannot be proven" in said.out
    assert "audit alone was run" in said.out
    assert re.search(r"profile\[goodbye=\w+\]: of \d+ customers .* 100% left", said.out)
    assert "the order of ids as numbers: " in said.out
    assert "leave it out" in said.out
    found = run("check", "--leaks", "-c", "c.yaml", "--json").json
    assert found["proven"] is False
    assert {f["kind"] for f in found["audit"]["findings"]} >= {"marks", "order"}


def test_strict_ends_with_every_sign_in_one_message(project, run):
    said = run("check", "--leaks", "--strict", "-c", "c.yaml")
    assert said.code == 3
    assert said.out == ""
    for words in ("DataError: leak audit: ", "profile[goodbye=", "the order of ids as numbers"):
        assert words in said.err, words
    people(leaking=False).to_csv("customers.csv", index=False)
    said = run("check", "--leaks", "--strict", "-c", "c.yaml")
    assert said.code == 0, said.err
    assert "No sign of a leak" in said.out


def test_strict_goes_with_leaks(project, run):
    said = run("check", "--strict", "-c", "c.yaml")
    assert said.code == 2
    assert "--leaks" in said.err


def test_too_few_labels_leave_the_proof(project, run):
    people(60, leaking=False).to_csv("customers.csv", index=False)
    said = run("check", "--leaks", "--strict", "-c", "c.yaml")
    assert said.code == 0, said.err
    assert "Not asked" in said.out
    assert "at least 50 of each" in said.out
    assert "No sign" not in said.out


def test_training_says_it_first(project, run):
    people(240, leaking=True).to_csv("customers.csv", index=False)
    said = run("train", "-c", "c.yaml")
    assert said.code == 0, said.err
    assert said.out.startswith("LOOKS LIKE A LEAK")
    assert "goodbye" in said.out.split("\n\n")[0]
    metrics = json.loads(Path("out/phones/metrics.json").read_text())
    assert any("goodbye" in f["column"] for f in metrics["audit"]["findings"])
    html = Path("out/phones/report.html").read_text(encoding="utf-8")
    assert html.index("Something may give the answer away") < html.index('<section id="trust"')
