"""Files appear whole or not at all, and no spreadsheet runs what they hold."""

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tenure.config import Config
from tenure.errors import ConfigError, EnvironmentFault
from tenure.outputs import (
    as_given,
    check_ending,
    check_out,
    check_writable,
    neutral,
    staged_folder,
    write_table,
)

ATTACKS = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\0=1", '=HYPERLINK("x")']
HARMLESS = ["Ann", "a=b", "007", " =1", "", "'=1", "1e5", "−2"]


@pytest.mark.parametrize("text", ATTACKS)
def test_formulas_are_disarmed(text):
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("value", [*HARMLESS, -2, -2.5, None, float("-inf"), True])
def test_everything_else_stays(value):
    assert neutral(value) == value


@pytest.mark.parametrize("text", [*ATTACKS, *(h for h in HARMLESS if not h.startswith("'="))])
def test_what_was_disarmed_is_read_as_it_was(text):
    assert as_given(str(neutral(text))) == text


def test_csv_disarms_text_and_leaves_numbers(tmp_path):
    frame = pd.DataFrame(
        {
            "name": pd.Series(["=1+1", "Zoë", None], dtype="str"),
            "mixed": pd.Series(["@a", -3, None], dtype="object"),
            "kind": pd.Categorical(["-x", "y", "-x"]),
            "number": [-1.5, np.nan, 3.0],
            "day": pd.to_datetime(["2025-01-01", None, "2025-01-02"]),
        }
    )
    write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == (
        "name,mixed,kind,number,day\n"
        "'=1+1,'@a,'-x,-1.5,2025-01-01\n"
        "Zoë,-3,y,,\n"
        ",,'-x,3.0,2025-01-02\n"
    )
    assert frame["name"][0] == "=1+1"


def test_column_names_are_disarmed_too(tmp_path):
    write_table(pd.DataFrame({"=cmd()": [1]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "'=cmd()\n1\n"


def test_parquet_keeps_text_as_it_is(tmp_path):
    frame = pd.DataFrame({"customer_id": ["=1+1", "007"], "x": [1.5, np.nan]})
    write_table(frame, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), frame)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(
    "fault",
    [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("x")],
)
@pytest.mark.parametrize("place", ["os.fsync", "pathlib.Path.replace"])
def test_any_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, name, fault, place):
    old = tmp_path / name
    old.write_text("old")

    def fail(*_):
        raise fault

    monkeypatch.setattr(place, fail)
    expected = EnvironmentFault if isinstance(fault, OSError) else type(fault)
    with pytest.raises(expected):
        write_table(pd.DataFrame({"x": [1]}), old)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208
    assert old.read_text() == "old"


def test_a_full_disk_is_said_in_words(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(EnvironmentFault, match=r"t\.csv: cannot be written \(No space left"):
        write_table(pd.DataFrame({"x": [1]}), tmp_path / "t.csv")


def test_unknown_endings_and_folders_are_refused(tmp_path):
    for name in ("t.xlsx", "t", ".csv", "t.csv.gz"):
        with pytest.raises(ConfigError, match=r"\.csv or \.parquet"):
            check_ending(tmp_path / name)
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(EnvironmentFault, match="is a folder"):
        check_ending(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("d.csv", "d.csv"),
        ("d.csv", "./x/../d.csv"),
        ("data/*.csv", "data/scores.csv"),
        ("d[1].csv", "d[1].csv"),
    ],
)
def test_an_input_is_never_an_output(tmp_path, monkeypatch, path, out):
    monkeypatch.chdir(tmp_path)
    config = Config(project="p", data={"tables": {"transactions": {"path": path}}})
    with pytest.raises(ConfigError, match="would replace an input"):
        check_out(Path(out), config)
    check_out(Path("scores.csv"), config)
    with pytest.raises(ConfigError, match="would replace an input"):
        check_out(Path("list.csv"), config, tmp_path / "list.csv")


class TestStagedFolder:
    """Files move over only when all of them are there."""

    def test_files_appear_at_the_end(self, tmp_path):
        out = tmp_path / "out"
        with staged_folder(out) as folder:
            (folder / "a").write_text("new")
            assert not out.exists()
        assert (out / "a").read_text() == "new"
        assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208

    @pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError, OSError])
    def test_a_failure_leaves_what_was_there(self, tmp_path, fault):
        out = tmp_path / "out"
        out.mkdir()
        (out / "a").write_text("old")

        def write():
            with staged_folder(out) as folder:
                (folder / "a").write_text("new")
                raise fault

        with pytest.raises(fault):
            write()
        assert (out / "a").read_text() == "old"
        assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208

    def test_other_files_of_the_folder_stay(self, tmp_path):
        (tmp_path / "mine").write_text("mine")
        with staged_folder(tmp_path) as folder:
            (folder / "a").write_text("new")
        assert (tmp_path / "mine").read_text() == "mine"

    def test_a_file_in_its_place(self, tmp_path):
        (tmp_path / "out").write_text("mine")
        with (
            pytest.raises(EnvironmentFault, match="cannot be written"),
            staged_folder(tmp_path / "out" / "shop"),
        ):
            pass
        assert (tmp_path / "out").read_text() == "mine"

    def test_a_folder_in_the_place_of_one_file_moves_none(self, tmp_path):
        (tmp_path / "out" / "metrics.json").mkdir(parents=True)
        (tmp_path / "out" / "a").write_text("old")

        def write():
            with staged_folder(tmp_path / "out") as folder:
                (folder / "a").write_text("new")
                (folder / "metrics.json").write_text("new")

        with pytest.raises(EnvironmentFault, match=r"metrics\.json is a folder there"):
            write()
        assert (tmp_path / "out" / "a").read_text() == "old"
        assert sorted(os.listdir(tmp_path)) == ["out"]  # noqa: PTH208


class TestCheckWritable:
    """What cannot be written later is told before the work begins."""

    def test_a_place_that_is_free_is_left_as_it_was(self, tmp_path):
        check_writable(tmp_path / "out" / "shop")
        check_writable(tmp_path)
        assert os.listdir(tmp_path) == []  # noqa: PTH208

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "out").write_text("mine")
        with pytest.raises(EnvironmentFault, match="shop: cannot be written"):
            check_writable(tmp_path / "out" / "shop")
        assert (tmp_path / "out").read_text() == "mine"

    def test_a_folder_without_permission(self, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "touch", fail)
        with pytest.raises(EnvironmentFault, match="Permission denied"):
            check_writable(tmp_path / "out")
