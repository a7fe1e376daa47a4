"""One customer's number as a sentence: the feature's words, the number, and the usual one.

The language of `says`, which a feature declares: `{value}` is the number with its unit, `{n}` the
bare count ("no" for 0), `{times}` how often, `{percent}` a ratio in percent, `{signed}` a change,
`{level}` the level of a by-column and `{window}` the span looked at, which otherwise comes last.
`[one|many]` follows the number; of a yes-or-no it is the yes and the no. What stands behind ` // `
is said of 0. Words that end in a full stop are told without the usual number, where most customers
have none.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from tenure.features.schema import Column
from tenure.features.spec import FEATURES, VIEWS, Last, declared, escaped

__all__ = ["is_yes_or_no", "number", "phrase", "sentence", "shown"]

SCORES = {"nps": "NPS", "csat": "CSAT", "ces": "CES"}
YES_OR_NO = ("0 or 1", "yes or no")
LONG = 2 * 24  # hours from which a wait is told in days
SPOKEN = ("n", "value", "times", "percent", "signed")
_FORMS = re.compile(r"\[([^|\]]*)\|([^|\]]*)\]")


def phrase(column: Column) -> str:
    """Say what a column is, with its window and level.

    Examples
    --------
    >>> phrase(Column("spend_90d", "spend", 90, None, "currency", "value", "Money spent", 0))
    'Money spent in the last 90 days'
    """
    level = "" if column.level is None else f" ({column.level})"
    pause = "," if "," in column.description and column.window is not None else ""
    return f"{column.description}{level}{pause}{_window(column)}"


@lru_cache(maxsize=4096)
def _window(column: Column) -> str:
    if column.window is None:
        return ""
    if isinstance(column.window, Last):
        made = FEATURES.get(column.feature)
        rows = VIEWS[made.view].rows if made else "rows"
        return f" over the last {column.window.n} {rows}"
    return f" in the last {column.window} days"


def sentence(column: Column, value: float, usual: float, currency: str | None = None) -> str:
    """Tell one customer's number beside the usual one.

    A missing number is told in words alone, and a yes or no without the usual answer.

    Examples
    --------
    >>> took = Column("a_90d", "a", 90, None, "hours", "responsiveness", "Time to reply", 1,
    ...               "First response took {value}", "No ticket")
    >>> sentence(took, 31, 4), sentence(took, 4.51, 80)
    ('First response took 31 h in the last 90 days; 4 h is usual.', \
'First response took 4.5 h in the last 90 days; 3.3 days is usual.')
    >>> sentence(took, float("nan"), 4)
    'No ticket in the last 90 days.'
    """
    if math.isnan(value):
        absent = column.none or f"{escaped(column.description)}: not known"
        # who has no ticket has none among the last three either
        span = "{window:.0}" if isinstance(column.window, Last) else "{window}"
        return _finished(_filled(column, absent + span, {}))
    says = column.says or f"{escaped(column.description)}: {{value}}"
    said, _, of_zero = says.partition(" // ")
    if of_zero and shown(value, column.unit) == 0:
        said = of_zero
    told = {k: _spoken(k, value, column.unit, currency) for k in SPOKEN if f"{{{k}}}" in said}
    text = _filled(column, _form(said.removesuffix("."), value, column.unit), told)
    if is_yes_or_no(column) or math.isnan(usual) or said.endswith("."):
        return _finished(text)
    return _finished(f"{text}; {_usual(column, usual, currency)} is usual")


def is_yes_or_no(column: Column) -> bool:
    """Tell whether a column's sentence says yes or no, and no number."""
    return column.unit in YES_OR_NO


def _form(said: str, value: float, unit: str) -> str:
    # no parcel, 1 parcel, 2 parcels
    is_first = value > 0.5 if unit in YES_OR_NO else shown(value, "count") in (0, 1)
    return _FORMS.sub(lambda forms: forms[1] if is_first else forms[2], said)


def _filled(column: Column, text: str, told: dict[str, str]) -> str:
    level = column.level or ""
    made = declared(column.feature)
    window = _window(column)
    if not window and made is not None and len(made.windows) > 1:
        window = " so far"
    if "{window" not in text:
        text += "{window}"
    return text.format(level=SCORES.get(level, level), window=window, **told)


def _finished(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


@lru_cache(maxsize=4096)
def _usual(column: Column, usual: float, currency: str | None) -> str:
    said = column.says
    if shown(usual, column.unit) == 0 and (" // " in said or "{n}" in said):
        return "none"
    how = next((k for k in SPOKEN if f"{{{k}}}" in said), "value")
    return _spoken(how, usual, column.unit, currency).removesuffix(" of")


def _spoken(how: str, value: float, unit: str, currency: str | None) -> str:
    if how == "signed":
        return _signed(value, unit, currency)
    if how == "times":
        return _times(value)
    if how == "percent":
        return number(value, "share")
    if how == "n":
        return "no" if shown(value, "count") == 0 else number(value, "count")
    return number(value, unit, currency)


def _times(value: float) -> str:
    told = {1.0: "once", 2.0: "twice"}
    return told.get(shown(value, "count")) or f"{_plain(value)} times"


def _signed(value: float, unit: str, currency: str | None) -> str:
    if shown(value, unit) == 0:
        return "0"
    return f"{'+' if value > 0 else '-'}{number(abs(value), unit, currency)}"


def number(value: float, unit: str, currency: str | None = None) -> str:
    """Write a value as people would.

    Examples
    --------
    >>> number(0.25, "share"), number(1.0, "days"), number(31.4, "hours"), number(75.0, "hours")
    ('25 %', '1 day', '31 h', '3.1 days')
    >>> number(1234.6, "currency", "EUR"), number(0.25, "0 to 1"), number(-1.5, "points")
    ('EUR 1,235', '25 of 100', '-1.5')
    """
    if unit == "log-odds":
        return number(_chance(value), "share")
    if unit == "share":
        small = 0 < 100 * value < 0.5
        return "under 1 %" if small else f"{100 * value:.0f} %"
    if unit == "0 to 1":
        return f"{100 * value:.0f} of 100"
    if unit in YES_OR_NO:
        return "yes" if value > 0.5 else "no"
    if unit in ("days", "hours", "seconds"):
        return _duration(value * {"days": 24, "hours": 1, "seconds": 1 / 3600}[unit], unit)
    if unit.startswith("currency"):
        if shown(value, unit) == 0:
            return "nothing"
        return f"{currency} {_plain(value)}" if currency else _plain(value)
    if unit == "ratio":
        return f"{_plain(value)} times" if value >= 2 else f"{100 * value:.0f} % of"
    return _times(value) if unit == "times per ticket" else _plain(value)


def shown(value: float, unit: str) -> float:
    """Round as `number` does; two values that read the same are the same."""
    if unit == "log-odds":
        return round(100 * _chance(value))
    if unit in ("share", "0 to 1") or (unit == "ratio" and value < 2):
        return round(100 * value)
    return value if value == 0 else _rounded(value)


def _chance(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-500.0, log_odds)))


def _rounded(value: float) -> float:
    """Keep two decimals below 1, one below 10, and whole numbers above."""
    size = abs(value)
    return round(value, 2 if size < 1 else 1 if size < 10 else 0)


def _plain(value: float) -> str:
    rounded = _rounded(value)
    return f"{rounded:,.0f}" if float(rounded).is_integer() else f"{rounded:,}"


def _duration(hours: float, unit: str) -> str:
    """Tell hours as minutes or days where that is shorter; days stay days from one on."""
    size = abs(hours)
    if size > LONG or (unit == "days" and (size >= 24 or size == 0)):
        return _days(hours / 24)
    if size < 1:
        seconds = round(3600 * hours)
        return f"{seconds} s" if 0 < abs(seconds) < 120 else f"{round(60 * hours)} min"
    return f"{_plain(hours)} h"


def _days(days: float) -> str:
    return f"{_plain(days)} {'day' if _rounded(days) in (1, -1) else 'days'}"
