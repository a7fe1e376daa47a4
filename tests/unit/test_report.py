"""The report is whole, safe and plain, whatever the data say."""

import copy
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tenure.config import Config
from tenure.report import page as page_module
from tenure.report import words
from tenure.report.charts import charts
from tenure.report.page import TOP_CUSTOMERS, page

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload='x'>",
    "{{ 7*7 }}{% for x in y %}",
    "=HYPERLINK(1)",
    "x" * 300,
    " a\u202eb",
]
VOID = {"meta", "br", "img", "link", "input", "hr"}
LIMITS = (0.2, 0.5)
CHARTS = 6
SAMPLE = Path(__file__).parents[1] / "samples" / "report.json"


@pytest.fixture(scope="module")
def drawn():
    return {}


@pytest.fixture(autouse=True)
def charts_drawn_once(drawn, monkeypatch):
    """Keep charts from test to test: drawing takes most of a page's time."""

    def kept(clv, currency):
        key = json.dumps([clv, currency])
        if key not in drawn:
            drawn[key] = charts(clv, currency)
        return drawn[key]

    monkeypatch.setattr(page_module, "charts", kept)


class Reader(HTMLParser):
    """Collects what a browser would build: tags, attributes, and the text outside one section."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.plain, self.headings, self.cells = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attrs]
        if tag in ("th", "td"):
            self.cells.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data):
        if self.inside("style"):
            return
        if not any(a.get("id") == "data-scientists" for _, a in self.open):
            self.plain.append(data)
        if re.fullmatch(r"h[1-6]", self.open[-1][0] if self.open else ""):
            self.headings.append((self.open[-1][0], data))

    def inside(self, tag):
        return any(t == tag for t, _ in self.open)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.plain))


def figure(value, spread=0.01):
    return {"value": value, "lower": value - spread, "upper": value + spread}


@pytest.fixture
def config():
    return Config.model_validate(
        {
            "project": "shop",
            "currency": "EUR",
            "data": {"tables": {"transactions": {"path": "x.csv"}}},
            "churn": {"horizon_days": 90},
        }
    )


@pytest.fixture
def metrics():
    return json.loads(SAMPLE.read_text())["metrics"]


@pytest.fixture
def drivers():
    return json.loads(SAMPLE.read_text())["drivers"]


def customers(n, lapsed=0, ids=None):
    p = np.linspace(0.05, 0.95, n) if n > 1 else np.full(n, 0.6)
    frame = pd.DataFrame(
        {
            "customer_id": ids or [f"{i:05d}" for i in range(n)],
            "status": "scored",
            "churn_probability": p,
            "risk_band": np.where(p >= 0.5, "high", np.where(p <= 0.2, "low", "medium")),
            "p_alive": 0.8,
            "expected_purchases": 2.0,
            "spend_per_purchase": 20.0,
            "clv_365d": 100.0,
            "value_at_risk": np.arange(n) * 10.0 + 100.0,
            "expected_saved_value": np.arange(n) * 2.0 + 10.0,
            "reason_1": "Last purchase 60 days ago; 20 days is usual.",
            "reason_2": None,
            "reason_3": None,
        }
    )
    frame = frame.astype({f"reason_{i}": object for i in (1, 2, 3)})
    gone = frame.head(0).reindex(range(lapsed))
    gone["customer_id"], gone["status"] = [f"gone{i}" for i in range(lapsed)], "lapsed"
    return pd.concat([f for f in (frame, gone) if len(f)]) if n + lapsed else frame


def test_says_what_leaving_means_and_the_verdict(metrics, drivers, config):
    scores = customers(40, lapsed=6)
    scores.loc[scores["customer_id"] == "gone0", "status"] = "never_bought"
    read = Reader(page(metrics, drivers, scores, config, LIMITS)).text
    first = "A customer has left when they make no purchase in the 90 days after 1 July 1998"
    assert first in read.split("Retention report: shop", 2)[2][:200]
    assert "1 July to 28 September 1998" in read
    assert "about 20 of 40 customers scored, 50 %" in read
    assert "Usual leaving rate: 33 %" in read
    assert "5 others had been away for longer" in read
    assert "1 more has never bought for more than zero" in read
    high = scores[scores["risk_band"] == "high"]
    assert f"In the high band {len(high)} with a chance of 50 % or more" in read
    # 40 values from 100 in steps of 10 add up to 40 · 100 + 10 · 39 · 40 / 2
    assert "about 11,800 EUR of revenue (likely range" in read
    assert "ssociation, not proof of cause" in read
    assert "10 of 1,010 rows of transactions set aside" in read
    assert "Orders of more than zero in the last 90 days: the higher, the fewer leave" in read


def test_lists_the_most_value_at_risk_first(metrics, drivers, config):
    text = page(metrics, drivers, customers(40), config, LIMITS)
    listed = re.findall(r'<bdi class="id">(.*?)</bdi>', text)
    assert listed == [f"{i:05d}" for i in range(39, 39 - TOP_CUSTOMERS, -1)]
    assert "gone0" not in page(metrics, drivers, customers(3, lapsed=1), config, LIMITS)


def test_signs_of_a_leak_come_before_every_other_warning(metrics, drivers, config):
    sign = {"kind": "marks", "advice": "Leave it out.", "figures": {}}
    metrics["churn"]["test"]["expected_calibration_error"]["value"] = 0.03
    metrics["audit"]["findings"] = [
        sign | {"column": f"profile[<b>{i}]", "evidence": f"of {i} customers, 100% left."}
        for i in range(7)
    ]
    read = Reader(page(metrics, drivers, customers(40), config, LIMITS)).text
    assert "profile[<b>0]: of 0 customers, 100% left. Leave it out." in read
    assert "profile[<b>5]" not in read
    assert "2 more are named in metrics.json" in read
    assert read.index("give the answer away") < read.index("Read the percentages as a ranking")


def test_expert_terms_stay_in_their_section(metrics, drivers, config):
    said = []
    metrics["churn"]["gate"]["reasons"] = [
        "log loss: improvement -0.1 may be below",
        "AUC: improvement -0.02 may be below",
        "calibration: error 0.03 is above the target",
    ]
    metrics["churn"]["test"]["expected_calibration_error"]["value"] = 0.03
    said.append(page(metrics, drivers, customers(40), config, LIMITS))
    metrics["clv"]["holdout"] = {"horizon_days": 136, "origin": None, "purchases": {}}
    metrics["warnings"] = ["Value is declined: clv: log-odds, Brier score and SHAP disagree."]
    scores = customers(40).assign(
        clv_365d=np.nan, value_at_risk=np.nan, expected_saved_value=np.nan
    )
    said.append(page(metrics, drivers, scores, config, LIMITS))
    for text in said:
        read = Reader(text)
        for term in words.EXPERT_TERMS:
            assert term.lower() not in read.text.lower(), term
        for _, name, value in read.attributes:
            assert name in ("class", "id", "content") or "auc" not in (value or "").lower()
        assert "AUC" in text
        assert "Brier" in text


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_customers_give_a_whole_page(n, metrics, drivers, config):
    text = page(metrics, drivers, customers(n, lapsed=2), config, LIMITS)
    read = Reader(text)
    assert not read.open
    assert text.rstrip().endswith("</html>")
    assert ("Nobody is scored" in read.text) == (n == 0)
    if n == 1:
        assert "1 customer scored" in read.text
        assert "about 0.6" in read.text
    assert "nan" not in read.text.lower()


def test_no_customers_at_all(metrics, drivers, config):
    drivers["factors"] = []
    read = Reader(page(metrics, drivers, customers(0), config, LIMITS))
    assert "Nobody is scored" in read.text
    assert "Nothing we looked at moves anybody's chance" in read.text


def test_hostile_names_stay_text(metrics, drivers, config):
    scores = customers(len(HOSTILE), ids=HOSTILE)
    scores["reason_1"] = HOSTILE
    table = metrics["data"]["transactions"]
    metrics["data"]["</h3>" + HOSTILE[0]] = table | {"notes": HOSTILE, "sentences": HOSTILE}
    metrics["warnings"] = HOSTILE
    for f in drivers["factors"][0]["features"]:
        f["feature"] = f["description"] = f["unit"] = HOSTILE[1]
    drivers["factors"][0]["factor"] = HOSTILE[2]
    metrics["clv"]["why"] = HOSTILE[3]
    text = page(metrics, drivers, scores, config, LIMITS)
    read = Reader(text)
    assert not {"script", "img"} & set(read.tags)
    assert read.tags.count("svg") == CHARTS
    assert not [a for a in read.attributes if a[1].startswith("on")]
    assert "{{ 7*7 }}" in read.text
    for name in HOSTILE:
        assert re.sub(r"\s+", " ", name).strip() in read.text


def test_needs_no_network_and_no_script(metrics, drivers, config):
    text = page(metrics, drivers, customers(40), config, LIMITS)
    read = Reader(text)
    assert len(text.encode()) < 3_000_000
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & set(read.tags)
    for _, name, value in read.attributes:
        if name in ("href", "src"):
            assert value.startswith("#")
            assert f'id="{value[1:]}"' in text
    assert ("meta", "content", "width=device-width, initial-scale=1") in read.attributes
    assert "default-src 'none'" in text


def test_headings_descend_in_order_and_headers_have_scope(metrics, drivers, config):
    read = Reader(page(metrics, drivers, customers(40), config, LIMITS))
    levels = [int(h[1]) for h, _ in read.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert read.headings[-1][1] == "Every input"
    assert all(a.get("scope") in ("col", "row") for tag, a in read.cells if tag == "th")
    assert read.tags.count("table") == read.tags.count("caption")
    ids = [v for _, k, v in read.attributes if k == "id"]
    assert len(ids) == len(set(ids))


def test_missing_value_says_declined_and_why(metrics, drivers, config):
    metrics["clv"] = {
        "family": "bg_nbd", "why": "x", "unit": "revenue", "baselines": {},
        "holdout": {"horizon_days": 136, "origin": None, "purchases": {}},
    }  # fmt: skip
    metrics["warnings"] = ["Value is declined: clv: no repeat purchases: none of 40 customers."]
    columns = ["p_alive", "expected_purchases", "spend_per_purchase", "clv_365d", "value_at_risk"]
    columns += ["expected_saved_value"]
    scores = customers(40).assign(**dict.fromkeys(columns, np.nan))
    drivers["goals"] = []  # their costs are amounts
    read = Reader(page(metrics, drivers, scores, config, LIMITS)).text
    reason = "No repeat purchases: none of 40 customers."
    assert f"declined {reason}" in read
    assert f"Not judged. {reason}" in read
    assert "The 25 customers with the highest chance" in read
    assert "0 EUR" not in read


def test_value_not_judged_but_given(metrics, drivers, config):
    metrics["clv"]["holdout"] = {"horizon_days": 30, "origin": None, "purchases": {}}
    metrics["clv"]["baselines"] = {}
    metrics["warnings"] = ["The log is too short for a value holdout."]
    read = Reader(page(metrics, drivers, customers(40), config, LIMITS)).text
    assert "Not judged. The log is too short for a value holdout." in read
    assert "about 11,800 EUR" in read


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["gate"].update(signal=False, passed=False), "No signal."),
        (lambda c: c.update(selected="logistic_rfm"), "A simple model says this."),
        (
            lambda c: c["test"]["expected_calibration_error"].update(value=0.04),
            "Read the percentages as a ranking. On past dates they were 4.0 points off on "
            "average, where at most 1.6 are allowed: in all ",
        ),
        (lambda c: c["gate"].update(reasons=["AUC: x"]), "A simple method may do better."),
        (lambda c: c.update(promoted=False), "This run was not put into use."),
        (lambda c: None, "does better than a simple formula"),
    ],
)
def test_says_plainly_how_far_to_trust_it(change, says, metrics, drivers, config):
    churn = metrics["churn"]
    churn["improvement_on_best_baseline"]["logistic_rfm"] = {
        "log_loss": figure(0.0, 0.0), "auc": figure(0.0, 0.0)
    }  # fmt: skip
    change(churn)
    assert says in Reader(page(metrics, drivers, customers(40), config, LIMITS)).text


@pytest.mark.parametrize(
    ("share", "says"),
    [
        (0.9, "in 93 of 100 cases, where at least 90 should."),
        (0.85, "in 93 of 100 cases, where at least 90 should: these ranges are too narrow."),
        (0.95, "these ranges are too wide."),
        (None, "Does the value come true?"),
    ],
)
def test_says_whether_one_customer_s_range_held(share, says, metrics, drivers, config):
    hold = metrics["clv"]["holdout"]
    hold["coverage"]["value"]["value"] = share
    text = Reader(page(metrics, drivers, customers(40), config, LIMITS)).text
    assert says in text
    assert ("of 100 cases, where" in text) == (share is not None)


def test_experts_see_tenths_coverage_and_the_total(metrics, drivers, config):
    html = page(metrics, drivers, customers(40), config, LIMITS)
    expert = re.sub(r"<[^>]+>|\s+", " ", html[html.index('id="clv-table"') :])
    expert = re.sub(r"\s+", " ", expert)
    assert "value 328,450 [319,076, 338,507] expected, 331,000 came, inside" in expert
    assert "purchases 8,477 [8,259, 8,763] expected, 9,423 came, outside" in expert
    assert "value 0.850 [0.846, 0.854], plain share 0.931" in expert
    assert "10 2,350 1,175 2,350 [-2,350, 7,050] 0.50 1.00 [-1.00, 3.00]" in expert
    del metrics["clv"]["holdout"]["deciles"]
    assert 'id="decile-table"' not in page(metrics, drivers, customers(40), config, LIMITS)


def test_level_with_a_simple_method(metrics, drivers, config):
    for gain in metrics["churn"]["improvement_on_best_baseline"]["blend"].values():
        gain.update(value=0.0, lower=-0.001)
    text = Reader(page(metrics, drivers, customers(40), config, LIMITS)).text
    assert "not every figure tells" in text
    assert "In money" not in text
    metrics["churn"]["as_good"] = {"profit": ["logistic_rfm", "base_rate"]}
    metrics["churn"]["baselines"]["base_rate"]["profit"]["value"] = 950.0
    text = Reader(page(metrics, drivers, customers(4), config, LIMITS)).text
    assert (
        "In money, offers chosen by the usual leaving rate for everybody would have earned about "
        "as much, or more." in text
    )


def test_says_margin_when_value_is_margin(metrics, drivers, config):
    clv = config.clv.model_copy(update={"margin": 0.4, "horizon_days": 180})
    scores = customers(4).rename(columns={"clv_365d": "clv_180d"})
    here = config.model_copy(update={"clv": clv, "currency": None})
    read = Reader(page(metrics, drivers, scores, here, LIMITS)).text
    assert "Value we may lose in 180 days" in read
    assert "margin, at 40 % of revenue, in the data's own currency" in read


def test_gap_shows_in_the_dates(metrics, drivers, config):
    churn = config.churn.model_copy(update={"gap_days": 14, "active_within_days": "all"})
    here = config.model_copy(update={"churn": churn})
    read = Reader(page(metrics, drivers, customers(4), here, LIMITS)).text
    assert "in the 90 days that begin 14 days after 1 July 1998" in read
    assert "15 July to 12 October 1998" in read
    assert "everybody who ever bought" in read


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_figures_are_dashes(missing, metrics, drivers, config):
    def emptied(value):
        if isinstance(value, dict):
            return {k: emptied(v) for k, v in value.items()}
        return missing if isinstance(value, float) else value

    churn = metrics["churn"]
    churn["test"] = emptied(churn["test"])
    churn["baselines"] = emptied(churn["baselines"])
    churn["by_cutoff"] = [emptied(row) for row in churn["by_cutoff"]]
    del churn["candidates"]["blend"]["auc_active"]
    metrics["clv"]["holdout"]["gini"] = {"value": missing, "lower": missing, "upper": missing}
    drivers["factors"][1]["direction"] = missing
    text = page(metrics, drivers, customers(4), config, LIMITS)
    assert "nan" not in text.lower()
    assert "None" not in Reader(text).text.replace("None.", "")


def test_same_input_gives_the_same_bytes_and_is_left_alone(metrics, drivers, config):
    before = copy.deepcopy((metrics, drivers))
    scores = customers(40)
    first = page(metrics, drivers, scores, config, LIMITS)
    again = json.loads(json.dumps(metrics)), json.loads(json.dumps(drivers))
    assert page(*again, scores.sample(frac=1, random_state=3), config, LIMITS) == first
    assert (metrics, drivers) == before


def _luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])  # WCAG 2.2, relative luminance


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_has_contrast(mode, metrics, drivers, config):
    text = page(metrics, drivers, customers(4), config, LIMITS)
    block = re.findall(r":root \{(.*?)\}", text, re.S)[mode]
    palette = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for ink in ("text", "muted", "accent", "high", "medium", "low"):
        for paper in ("page", "card", "alert"):
            bright, dim = sorted((_luminance(palette[c]) for c in (ink, paper)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)


def test_reliability_by_group_stands_in_the_expert_section(metrics, drivers, config):
    groups = metrics["churn"]["reliability"]
    groups["segments"]["<b>region</b>"] = [{**groups["overall"][0], "group": HOSTILE[0]}]
    text = page(metrics, drivers, customers(4), config, LIMITS)
    found = Reader(text)
    assert "b" not in found.tags
    assert "script" not in found.tags
    table = text[text.index('id="group-table"') : text.index('id="cutoff-table"')]
    assert "tenth of the chances: 10" in table
    assert "tenth of the value: 1" in table
    assert "&lt;b&gt;region&lt;/b&gt;: &lt;script&gt;" in table
    assert "Fewer than 100 rows, not shown: frequency 4 or more purchase days (60)." in table
    assert "Of 100 customers called 65 %, 64 left (likely range 62 to 66)." in found.text


def test_figures_nobody_has_make_no_column(metrics, drivers, config):
    assert ">EMPC<" in page(metrics, drivers, customers(4), config, LIMITS)
    for part in ("candidates", "baselines"):
        for row in metrics["churn"][part].values():
            row["empc"] = {"value": None, "lower": None, "upper": None, "why": "no dates"}
    assert ">EMPC" not in page(metrics, drivers, customers(4), config, LIMITS)


def test_charts_of_the_values_say_what_they_show(metrics, drivers, config):
    text = page(metrics, drivers, customers(4), config, LIMITS)
    read = Reader(text)
    assert read.tags.count("svg") == read.tags.count("title") - 1 == CHARTS
    assert ("h2", "Were the values right?") in read.headings
    said = read.text.replace("\xa0", " ")
    assert (
        "Of the 2,350 customers of whom most was expected we expected 80 EUR each; 84 EUR came "
        "(likely range 82 EUR to 86 EUR). In 9 of 10 groups what we expected lies" in said
    )
    assert (
        "From 15 February to 30 June 1998 we expected 8,477 purchase days of those who were "
        "customers before (likely range of the forecast 8,259 to 8,763); 9,423 came, 11.2 % more, "
        "outside that range." in said
    )
    assert "In 15 of the 19 whole weeks from 15 February 1998 on, more purchase days came" in said
    for figure in ("chart-tenths", "chart-total", "chart-weeks"):
        assert f'aria-labelledby="{figure}-title"' in text[: text.index('id="drivers"')]
    for figure in ("chart-frequency", "chart-map", "chart-history"):
        assert f'aria-labelledby="{figure}-title"' in text[text.index('id="data-scientists"') :]


def test_what_was_not_looked_back_on_has_no_charts(metrics, drivers, config):
    hold = metrics["clv"]["holdout"]
    for name in ("tracking", "conditional_expectation", "alive_map", "alive_history"):
        del hold[name]
    assert page(metrics, drivers, customers(4), config, LIMITS).count("<svg ") == 1
    metrics["clv"]["holdout"] = {"horizon_days": 136, "origin": None, "purchases": {}}
    metrics["warnings"] = ["The log is too short for a value holdout."]
    text = page(metrics, drivers, customers(4), config, LIMITS)
    assert "<svg " not in text
    assert 'href="#values"' not in text


@pytest.mark.parametrize("lost", [None, "total"])
def test_a_forecast_that_came_true(lost, metrics, drivers, config):
    hold = metrics["clv"]["holdout"]
    for week in hold["tracking"]["after"]:
        week["actual"], week["actual_total"] = week["expected"], week["expected_total"]
    hold["tracking"]["before"] = []
    if lost:
        del hold["total"], hold["deciles"]  # the table for experts reads both
    else:
        hold["total"]["purchases"]["inside"] = True
    said = Reader(page(metrics, drivers, customers(4), config, LIMITS)).text
    assert f"8,477 came{'' if lost else ', inside that range'}. Several" in said
    assert "In 0 of the 19 whole weeks" in said
    assert "Until then" not in said


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_marks_have_contrast(mode, metrics, drivers, config):
    text = page(metrics, drivers, customers(4), config, LIMITS)
    block = re.findall(r":root \{(.*?)\}", text, re.S)[mode]
    palette = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for mark in ("expected", "actual"):
        bright, dim = sorted((_luminance(palette[c]) for c in (mark, "page")), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 3, mark  # WCAG 2.2, non-text contrast
    # numbers stand on the deepest shade of the map: half of the colour over the page
    channels = zip(*(bytes.fromhex(palette[c][1:]) for c in ("expected", "page")), strict=True)
    shade = "#" + bytes(round(sum(pair) / 2) for pair in channels).hex()
    bright, dim = sorted((_luminance(palette["text"]), _luminance(shade)), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5
