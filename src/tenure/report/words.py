"""The one place where names become readers' words.

What data scientists call a thing stands on the left; what a retention manager reads stands on the
right. The terms in `EXPERT_TERMS` stay inside the report's section for data scientists.
"""

from __future__ import annotations

import re

__all__ = [
    "BANDS",
    "CUSTOMER_METRICS",
    "EXPERT_TERMS",
    "FACTORS",
    "GLOSSARY",
    "MODELS",
    "MODEL_METRICS",
    "SURE",
    "SURVEYS",
    "TERMS",
    "factor",
    "glossary",
    "inline",
    "model",
    "plain",
]

EXPERT_TERMS = ("SHAP", "log-odds", "log odds", "logit", "AUC", "Brier", "log loss", "MPC",
                "Qini")  # fmt: skip

TERMS = {
    "base_rate": "usual leaving rate",
    "calibration": "do our percentages come true?",
    "churn_probability": "chance of leaving",
    "clv": "value expected",
    "cutoff": "data up to",
    "interval": "likely range",
    "set_aside": "rows set aside, and why",
    "value_at_risk": "value we may lose",
    "expected_saved_value": "worth of contacting",
}

BANDS = {"high": "High", "medium": "Medium", "low": "Low"}

SURE = (
    "proven by a test",
    "holds comparing like with like",
    "goes together",
    "too weak to say",
)
"""How sure we are, surest first: the words of `drivers.json`."""

SURVEYS = {
    "nps": "Recommendation, 0 to 10 (NPS)",
    "csat": "Satisfaction (CSAT)",
    "ces": "Ease (CES)",
    "review": "Reviews",
}

FACTORS = {
    "engagement": "How often and how lately they buy",
    "value": "How much they spend",
    "delivery": "Delivery",
    "responsiveness": "How fast we answer",
    "resolution": "Whether problems get solved",
    "effort": "How much trouble it is for them",
    "satisfaction": "What they say of us",
    "loyalty": "Loyalty and recommendation",
    "contact": "When and how we contact them",
    "pricing": "Prices and discounts",
    "billing": "Bills and payments",
    "product": "What they buy and send back",
    "lifecycle": "How long they have been customers",
    "usage": "How they use the product",
    "profile": "Who they are and where they buy",
}

FACTORS_OF = {
    "subscription": {
        "lifecycle": "How long they have subscribed, and when they renew",
        "product": "The product and their plan",
        "profile": "Who they are",
    },
    "label": {"profile": "Who they are and what they have"},
}
"""Other names, where a kind of leaving needs them."""

MODELS = {
    "kaplan_meier": "the age of subscriptions alone",
    "sbg": "the age of subscriptions alone, smoothed",
    "logistic_subscription": "a simple formula on the age, price and renewal of subscriptions",
    "logistic_attributes": "a simple formula on every attribute",
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
    "How sure": "Proven by a test: customers drawn by lot were treated otherwise, and left "
    "otherwise. Holds comparing like with like: customers who were alike before and had the "
    "experience left more often than those who had not, and checks that had to find nothing found "
    "nothing. Goes together: clearer than noise, but association, not proof of cause. Too weak to "
    "say: not told from noise.",
    "Learnt anew": "The model was learnt again on other draws of customers and dates: a figure "
    "that moves much with it is not to be relied on. Noise is what columns that hold nothing reach "
    "in the same way.",
    "Long gone (lapsed)": "Customers who had already stayed away too long to be asked whether "
    "they will leave; no chance is stated for them.",
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
    "capture_top_5_percent": ("Capture, top 5 %", 3),
    "capture_top_decile": ("Capture, top 10 %", 3),
    "capture_top_20_percent": ("Capture, top 20 %", 3),
    "capture_at_capacity": ("Capture, capacity", 3),
    "mpc": ("MPC", 2),
    "empc": ("EMPC", 2),
    "profit": ("Profit", 0),
    "contacted": ("Contacted", 0),
}

CUSTOMER_METRICS = {
    "mae": ("MAE", 2),
    "rmse": ("RMSE", 2),
    "bias": ("Bias, relative", 3),
    "bias_total": ("Bias, total", 0),
    "spearman": ("Spearman", 3),
    "gini": ("Gini, normalised", 3),
}


_PLAIN = {
    r"Qini": "skill at telling the persuadable, where 0 is chance:",
    r"log[- ]odds|logit": "odds",
    r"log loss": "error of the percentages",
    r"AUC": "skill at telling leavers from stayers",
    r"Brier(?: score)?": "error of the percentages",
    r"SHAP(?: values?)?": "contributions",
}


def glossary(kind: str) -> dict[str, str]:
    """Explain the terms that a report on this kind of leaving uses."""
    lapsed = "Long gone (lapsed)"
    return {k: v for k, v in GLOSSARY.items() if k != lapsed or kind == "inactivity"}


def factor(name: str, kind: str = "inactivity") -> str:
    """Name an experience factor, as it reads for a kind of leaving."""
    return FACTORS_OF.get(kind, {}).get(name) or FACTORS.get(name, name)


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


def plain(sentence: str) -> str:
    """Put a sentence of the machine into words for readers.

    Examples
    --------
    >>> plain("log loss: too large"), plain("clv: no repeat purchases")
    ('error of the percentages: too large', 'no repeat purchases')
    """
    sentence = sentence.replace("`", "")
    for term, words in _PLAIN.items():
        sentence = re.sub(rf"\b(?:{term})\b", words, sentence, flags=re.IGNORECASE)
    return re.sub(r"^(?:clv|churn): ", "", sentence)
