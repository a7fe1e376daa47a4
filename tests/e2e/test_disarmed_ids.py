"""A list of unknown ids, disarmed for spreadsheets, may come back as a list to score."""

import pandas as pd


def test_disarmed_ids_are_recognised_when_they_come_back(shop, run, tmp_path):
    asked = tmp_path / "list.csv"
    # =1+1 is a customer; the others are nobody, of whom one looks as if it had been disarmed
    pd.DataFrame({"customer_id": ["=1+1", "'=1+1", "'@SUM(A1)", "=9", "'=9"]}).to_csv(
        asked, index=False
    )
    said = run("score", "-c", "c.yaml", "--customers", asked, "--out", tmp_path / "s.parquet")
    assert said.code == 0, said.err
    scored = pd.read_parquet(tmp_path / "s.parquet")["customer_id"]
    assert sorted(scored) == ["=1+1", "@SUM(A1)"]
    unknown = tmp_path / "s.unknown.csv"
    assert unknown.read_text().splitlines() == ["customer_id", "'=9"]
    said = run("score", "-c", "c.yaml", "--customers", unknown, "--out", tmp_path / "t.csv")
    assert said.code == 0, said.err
    assert (tmp_path / "t.unknown.csv").read_text() == unknown.read_text()
