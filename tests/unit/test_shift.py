"""Shifts between cutoffs: measured exactly, expected with care, corrected only where it helps."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from tenure.backtest.shifts import corrected
from tenure.config import Config
from tenure.models.calibration import Calibrator, fit
from tenure.models.churn import ROSTERS
from tenure.models.shift import NO_SHIFT, Shift, measure, offset

START = dt.date(2023, 1, 1)


def every(step, n):
    return tuple(START + dt.timedelta(days=step * k) for k in range(n))


def seasonal(days, size=0.2):
    return tuple(size * np.sin(2 * np.pi * (d - START).days / 365.25) for d in days)


def test_the_offset_makes_the_chances_add_up():
    rng = np.random.default_rng(0)
    margin = rng.normal(-1, 2, 500)
    y = (rng.random(500) < expit(margin + 0.7)).astype(float)
    moved, error = offset(margin, y)
    assert moved == pytest.approx(brentq(lambda d: (expit(margin + d) - y).sum(), -5, 5), abs=1e-9)
    p = expit(margin + moved)
    assert error == pytest.approx(1 / np.sqrt((p * (1 - p)).sum()))


def test_measured_by_cutoff_and_blind_to_row_order():
    rng = np.random.default_rng(1)
    days = pd.to_datetime(np.repeat(every(30, 4), 200))
    margin = rng.normal(size=800)
    y = (rng.random(800) < expit(margin)).astype(int)
    y[600:] = 1  # one class: nothing can be measured there
    found = measure(margin, y, days)
    assert found.days == every(30, 3)
    assert found.offsets[1] == pytest.approx(offset(margin[200:400], y[200:400].astype(float))[0])
    order = rng.permutation(800)
    again = measure(margin[order], y[order], days[order])
    np.testing.assert_allclose(again.offsets, found.offsets, rtol=0, atol=1e-12)


def test_nothing_is_expected_of_little_or_nothing():
    assert NO_SHIFT.at(START) == 0
    assert Shift(every(30, 2), (0.3, 0.4), (0.01, 0.01)).at(START) == 0
    assert Shift(every(30, 3), (0.3, 0.3, 0.3), (0.01,) * 3).at(None) == 0


def test_a_season_seen_twice_is_expected_again():
    days = every(30, 25)  # two years
    shift = Shift(days, seasonal(days), (0.02,) * 25)
    for ahead in (90, 120, 180, 240):
        day = days[-1] + dt.timedelta(days=ahead)
        (true,) = seasonal([day])
        assert abs(shift.at(day) - true) < 0.06


def test_one_year_tells_the_sign_of_the_season_but_counts_for_less():
    days = every(30, 13)
    shift = Shift(days, seasonal(days), (0.02,) * 13)
    day = days[-1] + dt.timedelta(days=90)
    (true,) = seasonal([day])
    assert 0.2 * true < shift.at(day) < 1.1 * true


def test_a_recent_level_is_expected_to_fade():
    days = every(30, 6)
    shift = Shift(days, (0.0, 0.0, 0.1, 0.2, 0.3, 0.3), (0.02,) * 6)
    near, far = (shift.at(days[-1] + dt.timedelta(days=d)) for d in (30, 180))
    assert 0.1 < near < 0.3
    assert abs(far) < near / 2


def test_noise_moves_nothing_much():
    """Offsets that are all error: what is expected stays well below one of them."""
    rng = np.random.default_rng(2)
    said = []
    for _ in range(60):
        days = every(30, 12)
        shift = Shift(days, tuple(rng.normal(0, 0.05, 12)), (0.05,) * 12)
        said.append(shift.at(days[-1] + dt.timedelta(days=120)))
    assert np.sqrt(np.mean(np.square(said))) < 0.02


def test_days_may_come_in_any_order_and_survive_json():
    days = every(30, 8)
    shift = Shift(days, seasonal(days), (0.03,) * 8)
    turned = Shift(days[::-1], shift.offsets[::-1], shift.errors)
    day = days[-1] + dt.timedelta(days=60)
    assert turned.at(day) == pytest.approx(shift.at(day), abs=1e-12)
    assert Shift.from_json(shift.to_json()) == shift


@pytest.mark.parametrize("kind", ["none", "sigmoid", "beta", "isotonic"])
def test_a_moved_calibrator_is_the_calibrator_of_moved_margins(kind):
    rng = np.random.default_rng(3)
    m = rng.normal(size=2000)
    calibrator = fit(kind, m, (rng.random(2000) < expit(m)).astype(int))
    moved = Calibrator(calibrator.kind, calibrator.params, 0.3)
    grid = np.linspace(-2, 2, 9) + 0.0123
    np.testing.assert_allclose(moved.probability(grid), calibrator.probability(grid + 0.3))
    np.testing.assert_allclose(moved.slope(grid), calibrator.slope(grid + 0.3))


class TestCorrected:
    """The correction is judged on cutoffs before the test only."""

    DAYS = every(30, 8)

    def margins(self, found):
        """Return margins whose rows lie `found` log-odds below what happens."""
        rng = np.random.default_rng(4)
        parts = []
        for day, gap in zip(self.DAYS, found, strict=True):
            m = rng.normal(-1, 1, 3000)
            parts.append(
                pd.DataFrame(
                    {
                        "customer_id": [f"c{i}" for i in range(3000)],
                        "cutoff": pd.Timestamp(day),
                        "churned": (rng.random(3000) < expit(m + gap)).astype(int),
                        **dict.fromkeys(ROSTERS["inactivity"].names, m),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def run(self, found, expected):
        tables = {"tables": {"transactions": {"path": "d.csv"}}}
        config = Config(project="p", data=tables, churn={"horizon_days": 30})
        names = [n for n in ROSTERS["inactivity"].names if n not in ("base_rate", "btyd")]
        by_day = {d: dict.fromkeys(names, e) for d, e in zip(self.DAYS, expected, strict=True)}
        margins = self.margins(found)
        return margins, *corrected(margins, by_day, self.DAYS, self.DAYS[-3], config)

    def test_what_was_foreseen_is_corrected(self):
        found = [0.4, -0.4, 0.4, -0.4, 0.4, -0.4, 0.4, -0.4]
        before, after, report = self.run(found, found)
        assert report["corrected"]
        assert (
            report["log_loss_before_tests"]["corrected"] < report["log_loss_before_tests"]["as_is"]
        )
        np.testing.assert_allclose(
            after["lightgbm"] - before["lightgbm"], np.repeat(found, 3000), atol=1e-12
        )
        assert after["btyd"].equals(before["btyd"])  # shown as it is
        assert "so it is done" in report["sentence"]

    def test_what_was_foreseen_wrongly_before_the_test_is_left_alone(self):
        found = [0.0] * 5 + [0.4, -0.4, 0.4]
        expected = [0.4, -0.4, 0.4, -0.4, 0.4, 0.4, -0.4, 0.4]  # right on the test only
        before, after, report = self.run(found, expected)
        assert not report["corrected"]
        assert after.equals(before)
        assert report["by_cutoff"][5]["found_offset"] == pytest.approx(0.4, abs=0.15)

    def test_without_cutoffs_before_the_test_nothing_is_corrected(self):
        before, after, report = self.run([0.4] * 8, [0.0] * 5 + [0.4] * 3)
        assert after["lightgbm"].iloc[:3000].equals(before["lightgbm"].iloc[:3000])
        assert not report["corrected"]
