"""`horizon_days: auto`: Kaplan-Meier by hand and by an oracle, and nothing from the test."""

import datetime as dt
import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.config import ChurnConfig, Config, load_config
from tenure.cutoffs import plan
from tenure.drafting import draft
from tenure.errors import ConfigError
from tenure.labels.horizon import Purchases, choose, settled, usual_gap
from tenure.sources import load

EPOCH = dt.date(1970, 1, 1)


def config(horizon="auto", **cutoffs):
    tables = {"tables": {"transactions": {"path": "d.csv"}}}
    return Config(
        project="p", data=tables, churn={"horizon_days": horizon}, cutoffs={"count": 6} | cutoffs
    )


def log(days_of, first=0, until=200):
    """Return the purchases of {customer: days}."""
    who = [c for c, days in enumerate(days_of) for _ in set(days)]
    day = [d for days in days_of for d in sorted(set(days))]
    return Purchases(np.array(who, dtype=np.int64), np.array(day, dtype=np.int64), first, until)


def rounds(days):
    return -(-days // 7) * 7


def oracle(days_of, until):
    """Kaplan-Meier in fractions, spell by spell."""
    spells = []
    for days in days_of:
        days = sorted(set(days))
        spells += [(b - a, True) for a, b in itertools.pairwise(days)]
        spells.append((until - 1 - days[-1], False))
    ends = sorted({t for t, ended in spells if ended})
    curve, survival = {}, Fraction(1)
    for t in ends:
        at_risk = sum(u >= t for u, _ in spells)
        survival *= 1 - Fraction(sum(u == t and ended for u, ended in spells), at_risk)
        curve[t] = 1 - survival
    wanted = Fraction(9, 10) * curve[ends[-1]]
    return next(t for t in ends if curve[t] >= wanted)


def test_by_hand():
    # gaps of 10, 20 and 30 days, open ones of 139 and 4: at risk 4, 3, 2, so that
    # F(10, 20, 30) = 1/4, 2/4, 3/4, and .9 x .75 is first reached at 30
    assert usual_gap(log([[0, 10, 30, 60], [195]])) == (30, 3)


@pytest.mark.parametrize(("once", "usual"), [(189, 20), (190, 10)])
def test_an_open_gap_counts_only_the_days_that_were_seen_whole(once, usual):
    # ten gaps of 10 days, one of 20, an open one of 79. Who came once, on day 189, has been silent
    # for the 10 days up to 199: F(10) = 10/13, F(20) = 1 - 3/13 x 1/2, and 10/13 is not .9 of it.
    # Who came on day 190 has been silent for 9: F(10) = 10/12, which is .9 of 1 - 2/12 x 1/2.
    regular = [*range(0, 101, 10), 120]
    assert usual_gap(log([regular, [once]]))[0] == usual


@given(
    st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=6), min_size=1, max_size=8).filter(
        lambda log: any(len(set(days)) > 1 for days in log)
    ),
    st.integers(61, 90),
)
def test_the_usual_gap_is_that_of_an_oracle(days_of, until):
    assert usual_gap(log(days_of, until=until))[0] == oracle(days_of, until)


def shoppers(seed, n=60, until=400):
    """Draw customers who come at their own pace and leave for good."""
    rng = np.random.default_rng(seed)
    days_of = []
    for _ in range(n):
        t, pace, mine = rng.uniform(0, until), rng.gamma(4, 6), []
        while t < until:
            mine.append(int(t))
            if rng.random() < 0.15:
                break
            t += rng.exponential(pace)
        days_of.append(mine or [0])
    return days_of


@pytest.mark.parametrize("seed", range(8))
def test_the_choice_confirms_itself_on_purchases_before_its_own_earliest_test_cutoff(seed):
    days_of = shoppers(seed)
    p = log(days_of, until=400)
    days, why = choose(p, config())
    cutoffs = plan(config(days), EPOCH, EPOCH + dt.timedelta(days=400))
    earliest = (cutoffs[-3] - EPOCH).days
    before = [[d for d in mine if d < earliest] for mine in days_of]
    assert days == rounds(oracle([mine for mine in before if mine], earliest))
    longer = range(days + 7, 134, 7)
    for tried in longer:  # and no longer one does
        seen = (plan(config(tried), EPOCH, EPOCH + dt.timedelta(days=400))[-3] - EPOCH).days
        before = [[d for d in mine if d < seen] for mine in days_of]
        assert rounds(oracle([mine for mine in before if mine], seen)) < tried
    assert f"{days} days: 90% of those who come back do so within" in why


@pytest.mark.parametrize("seed", range(8))
def test_purchases_of_the_test_have_no_say(seed):
    days_of = shoppers(seed)
    days, why = choose(log(days_of, until=400), config())
    earliest = (plan(config(days), EPOCH, EPOCH + dt.timedelta(days=400))[-3] - EPOCH).days
    rng = np.random.default_rng(seed)
    altered = [
        [d for d in mine if d < earliest]
        + list(rng.integers(earliest, 400, rng.integers(0, 30)) if mine[0] < earliest else [])
        for mine in days_of
    ]
    assert choose(log([mine for mine in altered if mine], until=400), config()) == (days, why)


def test_where_the_answers_jump_the_last_one_before_stays():
    # Up to day 477, the earliest test cutoff of a horizon of 63 days, everybody who came back took
    # 14 days. On day 478 two hundred come back after 68 days: from there on the answer is 70, so
    # that no horizon from 7 to 56 is confirmed, and 14 was read before its own test cutoffs.
    early = [list(range(k, 300, 14)) for k in range(14)]
    p = log(early + [[410, 478]] * 200, until=600)
    days, why = choose(p, config())
    assert days == 14
    assert "within 14 days" in why


def test_a_long_silence_is_capped_by_the_log():
    days, why = choose(log([[0, 60], [3, 5]], until=100), config(every_days=1))
    assert days == 28
    assert "the log leaves room for no more" in why


def test_a_last_cutoff_that_is_given_leaves_less_room():
    days_of = [[k, k + 70, k + 140, k + 210] for k in range(60)]
    last = EPOCH + dt.timedelta(days=360)
    assert choose(log(days_of, until=400), config(last=last))[0] == 35
    assert choose(log(days_of, until=400), config())[0] == 70


def test_nobody_came_back():
    days, why = choose(log([[0], [5]], until=400), config())
    assert days == 90
    assert "nobody here bought twice" in why
    assert choose(log([[0], [5]], until=100), config())[0] == 28


def test_a_log_without_room_for_a_cutoff_gets_an_answer_and_planning_refuses():
    assert choose(log([[0, 1, 2]], until=3), config())[0] == 7


@pytest.mark.parametrize(("kind", "advice"), [("subscription", "billing"), ("label", "leave hor")])
def test_only_purchases_know_a_usual_pause(kind, advice):
    with pytest.raises(ValueError, match=f"only `kind: inactivity` asks about.*{advice}"):
        ChurnConfig(kind=kind, horizon_days="auto")


def test_an_unsettled_horizon_is_no_number():
    churn = ChurnConfig(horizon_days="auto")
    assert churn.model_dump()["horizon_days"] == "auto"
    with pytest.raises(RuntimeError, match="settle it"):
        _ = churn.label_days
    assert churn.asking(horizon_days=35).active_days == 35


def test_a_misspelt_horizon_is_named(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "project: p\ndata: {tables: {transactions: {path: d.csv}}}\nchurn: {horizn_days: auto}\n"
    )
    with pytest.raises(ConfigError, match="Did you mean 'horizon_days'"):
        load_config(file)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        (f"c{c}", f"t{c}-{d}", EPOCH + dt.timedelta(days=15_000 + d), 5.0)
        for c, mine in enumerate(shoppers(1))
        for d in mine
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "transaction_id", "ts", "amount"])

    def write(order):
        frame.iloc[order].to_csv("d.csv", index=False)

    write(np.arange(len(frame)))
    return write, len(frame)


def test_settling_gives_a_config_of_days_and_its_reason_whatever_the_order_of_rows(file):
    write, n = file
    answers = []
    for order in (np.arange(n), np.random.default_rng(0).permutation(n)):
        write(order)
        with load(config()) as sources:
            done, why = settled(config(), sources)
            days = done.churn.horizon_days
            assert done == config(days)
            assert why[0].startswith(f"churn.horizon_days: auto is {days} days: 90% of those")
            assert settled(done, sources) == (done, ())
        answers.append((days, why))
    assert answers[0] == answers[1]


def test_init_proposes_what_auto_would_choose(file, tmp_path):
    draft(["d.csv"], tmp_path / "mine.yaml")
    mine = load_config("mine.yaml")
    with load(mine) as sources:
        chosen, _ = settled(mine.asking(horizon_days="auto"), sources)
    assert mine.churn.horizon_days == chosen.churn.horizon_days
