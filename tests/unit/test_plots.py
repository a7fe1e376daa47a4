"""Charts hold the data they were given, leave the process as it was, and stand alone as SVG."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from tenure import plots
from tenure.plots.paper import dated, paper

HOLDOUT = json.loads((Path(__file__).parents[1] / "samples" / "report.json").read_text())
HOLDOUT = HOLDOUT["metrics"]["clv"]["holdout"]
TIMES = {k: HOLDOUT[k] for k in ("origin", "horizon_days")}
DRAWN = {
    "tenths": lambda ax: plots.decile_calibration(HOLDOUT["deciles"], ax, unit="EUR", **TIMES),
    "weeks": lambda ax: plots.tracking(HOLDOUT["tracking"], ax),
    "total": lambda ax: plots.tracking(
        HOLDOUT["tracking"], ax, cumulative=True, total=HOLDOUT["total"]["purchases"]
    ),
    "frequency": lambda ax: plots.conditional_expectation(HOLDOUT["conditional_expectation"], ax),
    "map": lambda ax: plots.alive_map(HOLDOUT["alive_map"], ax),
    "history": lambda ax: plots.alive_history(HOLDOUT["alive_history"], ax),
}


def lines(ax):
    return {line.get_label(): list(line.get_ydata()) for line in ax.lines}


def bars_and_points(ax):
    """Return heights of bars, points, and the ends of the points' intervals."""
    heights = [bar.get_height() for bar in ax.patches]
    points = next(c for c in ax.containers if c.get_label() == "came, with likely range")
    ends = [segment[:, 1].tolist() for segment in points[2][0].get_segments()]
    return heights, points[0].get_ydata().tolist(), ends


def test_weekly_tracking_shows_whole_weeks():
    ax, data = DRAWN["weeks"](None), HOLDOUT["tracking"]
    whole = [w for w in (*data["before"], *data["after"]) if w["days"] == 7]
    assert len(whole) < len(data["before"]) + len(data["after"])
    shown = lines(ax)
    assert shown["came"] == [w["actual"] for w in whole]
    assert shown["expected"] == [w["expected"] for w in whole]
    assert "23,500 customers; 1 Jan 1997 to 30 Jun 1998" in ax.get_title(loc="left")


def test_cumulative_tracking_ends_in_the_total_and_its_range():
    ax, data, total = DRAWN["total"](None), HOLDOUT["tracking"], HOLDOUT["total"]["purchases"]
    shown = lines(ax)
    assert shown["came"] == [0, *(w["actual_total"] for w in data["after"])]
    assert shown["expected"][-1] == data["after"][-1]["expected_total"]
    (bar,) = (c for c in ax.containers if c.get_label() == "likely range of the forecast")
    assert bar[2][0].get_segments()[0][:, 1] == pytest.approx([total["lower"], total["upper"]])
    assert not plots.tracking(data, cumulative=True).containers


def test_tenths_show_what_was_expected_and_what_came():
    ax, rows = DRAWN["tenths"](None), [row["value"] for row in HOLDOUT["deciles"]]
    heights, points, ends = bars_and_points(ax)
    assert heights == [row["expected_mean"] for row in rows]
    assert points == [row["actual_mean"]["value"] for row in rows]
    said = [[row["actual_mean"][k] for k in ("lower", "upper")] for row in rows]
    assert np.array(ends) == pytest.approx(np.array(said))
    assert ax.get_ylabel() == "EUR per customer"
    n = sum(row["customers"] for row in HOLDOUT["deciles"])
    assert f"{n:,} customers; 15 Feb to 30 Jun 1998" in ax.get_title(loc="left")
    other = plots.decile_calibration(
        HOLDOUT["deciles"], column="purchases", unit="Purchase days", **TIMES
    )
    means = [row["purchases"]["expected_mean"] for row in HOLDOUT["deciles"]]
    assert bars_and_points(other)[0] == means


def test_frequencies_show_their_customers():
    ax, groups = DRAWN["frequency"](None), HOLDOUT["conditional_expectation"]["groups"]
    heights, points, _ = bars_and_points(ax)
    assert heights == [g["expected"] for g in groups]
    assert points == [g["actual"]["value"] for g in groups]
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names[0] == f"0\n{groups[0]['customers']:,}"
    assert names[-1].startswith("7+\n")


def test_the_map_writes_every_chance_and_leaves_the_impossible_empty():
    ax, data = DRAWN["map"](None), HOLDOUT["alive_map"]
    p = np.array(data["p_alive"], dtype=float)
    assert np.isnan(p).any()
    shown = ax.collections[0].get_array()
    assert np.ma.filled(shown, np.nan) == pytest.approx(p, nan_ok=True)
    said = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in ax.texts}
    assert len(said) == np.isfinite(p).sum()
    assert all(abs(float(text) - 100 * p[cell]) <= 0.5 for cell, text in said.items())


def test_the_history_marks_purchases_on_the_line():
    ax, data = DRAWN["history"](None), HOLDOUT["alive_history"]
    chance, purchases = ax.lines
    assert chance.get_ydata() == pytest.approx(100 * np.array(data["p_alive"]))
    assert purchases.get_xdata().tolist() == data["purchase_days"]
    on_line = dict(zip(chance.get_xdata(), chance.get_ydata(), strict=True))
    assert [on_line[d] for d in data["purchase_days"]] == purchases.get_ydata().tolist()


def test_a_missing_bound_is_drawn_as_none():
    rows = json.loads(json.dumps(HOLDOUT["deciles"]))
    rows[3]["value"]["actual_mean"] |= {"lower": None, "upper": None}
    ends = bars_and_points(plots.decile_calibration(rows, **TIMES))[2][3]
    assert ends[0] == ends[1] == rows[3]["value"]["actual_mean"]["value"]


@pytest.mark.parametrize("name", DRAWN)
def test_draws_where_it_is_told_and_changes_nothing_else(name):
    before = dict(mpl.rcParams)
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert DRAWN[name](axes[1]) is axes[1]
    assert not axes[0].has_data()
    svg(name)
    assert dict(mpl.rcParams) == before


def svg(name, **changes):
    given = {"name": name, "label": "A chart", "colours": {"#0072b2": "var(--expected)"}}
    return plots.inline_svg(DRAWN[name](None), **(given | changes))


@pytest.mark.parametrize("name", DRAWN)
def test_svg_is_whole_and_asks_for_nothing(name):
    text = svg(name)
    root = ET.fromstring(text)
    assert root.tag == "svg"
    assert not re.search(r"https?:|url\(|@import|<\?xml|<!DOCTYPE|xmlns|data:", text)
    names = {e.tag for e in root.iter()}
    assert names <= {"svg", "title", "defs", "g", "path", "use", "text", "tspan"}
    assert not [a for e in root.iter() for a in e.attrib if a.startswith("on")]
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids))
    assert all(i.startswith(f"{name}-") for i in ids)
    assert {e.attrib["href"][1:] for e in root.iter("use")} <= set(ids)
    assert root.attrib["role"] == "img"
    assert root.find("title").text == "A chart"
    assert root.find("title").attrib["id"] == root.attrib["aria-labelledby"]
    assert len(text) < 40_000


@pytest.mark.parametrize("name", DRAWN)
def test_svg_takes_fonts_and_colours_from_the_page(name):
    text = svg(name)
    assert "#0072b2" not in text
    assert "font-family" not in text
    assert "DejaVu" not in text
    words = " ".join("".join(e.itertext()) for e in ET.fromstring(text).iter("text"))
    assert "customers" in words
    assert svg(name) == text


def test_svg_keeps_hostile_words_as_text():
    hostile = "<script>$x_1$&\"'"
    ax = plots.decile_calibration(HOLDOUT["deciles"], unit=hostile, **TIMES)
    text = plots.inline_svg(ax, "a", hostile, {})
    assert "<script" not in text
    words = ["".join(e.itertext()) for e in ET.fromstring(text).iter()]
    assert hostile in words
    assert f"{hostile} per customer" in words


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("1997-01-01", "1998-06-22", ["Apr\n1997", "Jul", "Oct", "Jan\n1998", "Apr"]),
        ("1998-02-15", "1998-07-01", ["Mar\n1998", "Apr", "May", "Jun", "Jul"]),
        ("2026-03-02", "2026-03-16", ["2 Mar", "9 Mar", "16 Mar"]),
        ("2026-03-02", "2026-03-02", ["2 Mar"]),
        ("2010-05-02", "2026-03-02", ["Jan\n2015", "Jan\n2020", "Jan\n2025"]),
    ],
)
def test_dates_are_few_and_in_english(first, last, says):
    ax = paper(None)
    dated(ax, *(dt.date.fromisoformat(d).toordinal() for d in (first, last)))
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names[: len(says)] == says
    assert len(names) <= 8


def test_charts_need_no_pyplot_and_say_nothing_where_nothing_can_be_kept(tmp_path):
    code = "import sys, tenure.plots; print('matplotlib.pyplot' in sys.modules)"
    no_folder = tmp_path / "file"
    no_folder.touch()
    places = {"MPLCONFIGDIR": str(no_folder / "x"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path), **places},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("False\n", "")
