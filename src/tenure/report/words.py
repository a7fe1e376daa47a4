"""The one place where names become readers' words, and numbers become text.

What data scientists call a thing stands on the left; what a retention manager reads stands on the
right. The terms in `EXPERT_TERMS` stay inside the report's section for data scientists.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = [
    "ABSENT", "BANDS", "CUSTOMER_METRICS", "EXPERT_TERMS", "FACTORS", "GLOSSARY", "MODELS",
    "MODEL_METRICS", "STATUSES", "TERMS", "chance", "count", "day", "estimate", "factor", "finite",
    "inline", "input_name", "model", "money", "number", "percent", "plain", "points", "span",
]  # fmt: skip

NBSP = "\u00a0"
ABSENT = "–"

EXPERT_TERMS = ("SHAP", "log-odds", "log odds", "logit", "AUC", "Brier", "log loss")

TERMS = {
    "base_rate": "usual leaving rate",
    "calibration": "do our percentages come true?",
    "churn_probability": "chance of leaving",
    "cutoff": "data up to",
    "interval": "likely range",
    "quarantined": "rows set aside, and why",
    "top_decile_lift": "times more leavers in the riskiest tenth",
}

BANDS = {"high": "High", "medium": "Medium", "low": "Low"}
STATUSES = {"lapsed": "Long gone (lapsed)", "never_bought": "Never bought"}

FACTORS = {
    "engagement": "How often and how lately they buy",
    "value": "How much they spend",
    "delivery": "Delivery",
    "responsiveness": "How fast we answer",
    "resolution": "Whether problems get solved",
    "effort": "How much trouble it is for them",
    "satisfaction": "What they say of us",
    "loyalty": "Loyalty programme",
    "contact": "How they reach us",
    "pricing": "Prices and discounts",
    "billing": "Bills and payments",
    "product": "What they buy and send back",
    "lifecycle": "How long they have been customers",
    "usage": "How they use the product",
    "profile": "Who they are and where they buy",
}

MODELS = {
    "base_rate": "the usual leaving rate for everybody",
    "recency_rule": "a rule on days since the last purchase",
    "btyd": "the rhythm of past purchases alone",
    "btyd_recalibrated": "the rhythm of past purchases, corrected",
    "logistic_rfm": "a simple formula on how lately, how often and how much people buy",
    "logistic_rfm_btyd": "a simple formula on how lately, how often, how much and in what rhythm "
    "people buy",
    "lightgbm": "the full model (decision trees on every input)",
    "blend": "the full model averaged with a simple formula",
}

GLOSSARY = {
    "Chance of leaving": "How many of 100 customers like this one we expect to leave. It is a "
    "chance for a group, not a verdict on a person.",
    "Usual leaving rate": "The share who left among all comparable customers of the past. Read "
    "every chance against it.",
    "High, medium, low": "High: at least twice the usual odds of leaving; low: at most half of "
    "them; medium: between.",
    "Points": "One point is one percentage point of the chance of leaving.",
    "What goes with leaving": "The bars show association, not proof of cause: changing what a "
    "bar names need not change who leaves.",
    "Long gone (lapsed)": "Customers who had already stayed away too long to be asked whether "
    "they will leave. They have no chance of leaving here.",
    "Likely range": "Where the figure would lie in 9 of 10 repetitions with other customers.",
    "Rows set aside": "Rows of the data that broke a rule. They are counted, kept in a file, and "
    "used for nothing.",
}

MODEL_METRICS = {
    "auc": ("AUC", 3),
    "auc_active": ("AUC, active", 3),
    "log_loss": ("Log loss", 4),
    "brier": ("Brier", 4),
    "expected_calibration_error": ("Calibration error", 4),
    "average_precision": ("Average precision", 3),
    "top_decile_lift": ("Lift, top 10 %", 2),
    "capture_top_decile": ("Captured, top 10 %", 3),
    "base_rate": ("Base rate", 3),
}

CUSTOMER_METRICS = {
    "mae": ("MAE", 2),
    "rmse": ("RMSE", 2),
    "bias": ("Bias, relative", 3),
    "bias_total": ("Bias, total", 0),
    "spearman": ("Spearman", 3),
    "gini": ("Gini, normalised", 3),
}

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip

_PLAIN = {
    r"log[- ]odds|logit": "odds",
    r"log loss": "error of the percentages",
    r"AUC": "skill at telling leavers from stayers",
    r"Brier(?: score)?": "error of the percentages",
    r"SHAP(?: values?)?": "contributions",
}


def finite(value: Any) -> float | None:
    """Return a number, or None for what is missing (None, NaN, infinite).

    Examples
    --------
    >>> finite(2), finite(float("nan")), finite(None)
    (2.0, None, None)
    """
    if value is None or value is pd.NA or not math.isfinite(value):
        return None
    return float(value)


def day(value: Any) -> str:
    """Write a date as people do.

    Examples
    --------
    >>> day("1998-07-01"), day(dt.date(1998, 4, 2))
    ('1 July 1998', '2 April 1998')
    """
    moment = pd.Timestamp(value)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def span(start: dt.date, days: int) -> str:
    """Write the first and the last of `days` days.

    Examples
    --------
    >>> span(dt.date(1998, 7, 1), 90)
    '1 July to 28 September 1998'
    """
    last = start + dt.timedelta(days=days - 1)
    if last == start:
        return day(start)
    first = day(start)
    return f"{first.removesuffix(f' {last.year}')} to {day(last)}"


def number(value: Any, digits: int = 0) -> str:
    """Write a number with thousands apart; a dash for a missing one.

    Examples
    --------
    >>> number(12345.6), number(-0.0001, 2), number(None)
    ('12,346', '0.00', '–')
    """
    known = finite(value)
    if known is None:
        return ABSENT
    text = f"{known:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def count(n: int, one: str, many: str | None = None) -> str:
    """Count things.

    Examples
    --------
    >>> count(1, "customer"), count(3301, "customer")
    ('1 customer', '3,301 customers')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def percent(share: Any, digits: int = 0) -> str:
    """Write a share in percent."""
    known = finite(share)
    return ABSENT if known is None else f"{number(100 * known, digits)}{NBSP}%"


def chance(probability: Any) -> str:
    """Write a chance in percent; never 0 or 100, since nothing here is certain.

    Examples
    --------
    >>> chance(0.553).replace(NBSP, " "), chance(0.9999).replace(NBSP, " ")
    ('55 %', 'over 99 %')
    """
    known = finite(probability)
    if known is None:
        return ABSENT
    if round(100 * known) < 1:
        return f"under 1{NBSP}%"
    return f"over 99{NBSP}%" if round(100 * known) > 99 else percent(known)


def points(value: Any) -> str:
    """Write points of the chance of leaving.

    Examples
    --------
    >>> points(18.19), points(1.0)
    ('18.2 points', '1.0 point')
    """
    text = number(value, 1)
    return f"{text} point{'' if text == '1.0' else 's'}"


def money(value: Any, currency: str | None, *, exact: bool = False) -> str:
    """Write money; `exact` keeps two decimals of small amounts.

    Examples
    --------
    >>> money(48123.4, "USD").replace(NBSP, " "), money(3.5, "EUR", exact=True).replace(NBSP, " ")
    ('48,123 USD', '3.50 EUR')
    """
    known = finite(value)
    if known is None:
        return ABSENT
    digits = 2 if (exact and abs(known) < 1000) or 0 < abs(known) < 10 else 0
    return f"{number(known, digits)}{NBSP}{currency}" if currency else number(known, digits)


def estimate(figure: Mapping[str, Any] | None, digits: int) -> tuple[str, str]:
    """Write an estimate and its interval.

    Examples
    --------
    >>> estimate({"value": 0.72, "lower": 0.71, "upper": 0.73}, 2)
    ('0.72', '[0.71, 0.73]')
    """
    if figure is None or finite(figure.get("value")) is None:
        return ABSENT, ""
    lower, upper = (number(figure.get(k), digits) for k in ("lower", "upper"))
    return number(figure["value"], digits), f"[{lower}, {upper}]"


def factor(name: str) -> str:
    """Name an experience factor."""
    return FACTORS.get(name, name)


def model(name: str) -> str:
    """Name a model by what it looks at."""
    return MODELS.get(name, name)


def inline(text: str) -> str:
    """Make a phrase stand inside a sentence.

    Examples
    --------
    >>> inline("How much they spend"), inline("NPS of today")
    ('how much they spend', 'NPS of today')
    """
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def input_name(name: str, description: str) -> str:
    """Say what an input is, with its level and window, which stand in its name.

    Examples
    --------
    >>> input_name("purchase_days_90d", "Days with a purchase")
    'Days with a purchase, last 90 days'
    >>> input_name("channel_share_web", "Share of the orders made in this channel")
    'Share of the orders made in this channel (web)'
    """
    window = re.search(r"_(?:(\d+)d|last(\d+))$", name)
    level = re.match(
        r"(?:channel|category)_share_(.+)$", name[: window.start()] if window else name
    )
    text = f"{description} ({level[1]})" if level else description
    if window is None:
        return text
    unit = "days" if window[1] else "purchase days"
    return f"{text}, last {window[1] or window[2]} {unit}"


def plain(sentence: str) -> str:
    """Put a sentence of the machine into words for readers.

    Examples
    --------
    >>> plain("log loss: too large"), plain("clv: no repeat purchases")
    ('error of the percentages: too large', 'no repeat purchases')
    """
    for term, words in _PLAIN.items():
        sentence = re.sub(rf"\b(?:{term})\b", words, sentence, flags=re.IGNORECASE)
    return re.sub(r"^(?:clv|churn): ", "", sentence)
