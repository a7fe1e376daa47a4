"""Disks and folders that say no: the exit code is 1 or 2, what stood there before stays."""

import contextlib
import io
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest


@contextlib.contextmanager
def largest_file(size):
    """Refuse this process to write files of more than `size` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def score(shop, run):
    def go(out):
        said = run("score", "-c", "c.yaml", "--out", out)
        assert "Traceback" not in said.err
        assert 'File "' not in said.err
        return said

    return go


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_a_full_disk_keeps_the_old_table(score, tmp_path, name):
    out = tmp_path / name
    out.write_text("old")
    with largest_file(8192):
        said = score(out)
    assert said.code == 1
    assert name in said.err
    assert out.read_text() == "old"
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208


def test_a_folder_where_the_table_should_stand(score, tmp_path):
    (tmp_path / "s.csv").mkdir()
    said = score(tmp_path / "s.csv")
    assert said.code == 1
    assert "is a folder" in said.err


def test_a_file_where_a_folder_should_stand(score, tmp_path):
    (tmp_path / "file").write_text("mine")
    said = score(tmp_path / "file" / "s.csv")
    assert said.code == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_system_that_is_not_for_files(score):
    assert score("/proc/s.csv").code == 1


def test_a_missing_folder_is_made(score, tmp_path):
    assert score(tmp_path / "new" / "er" / "s.csv").code == 0
    assert os.listdir(tmp_path / "new" / "er") == ["s.csv"]  # noqa: PTH208


@pytest.mark.parametrize("out", ["", ".", "s3://bucket/s.csv", "file:///tmp/s.csv"])
def test_what_is_no_path_of_a_file_is_a_usage_error(score, out, tmp_path):
    assert score(out).code == 2


def test_a_tilde_that_the_shell_left_alone_is_a_name_like_any_other(
    shop, score, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert score("~/s.csv").code == 0
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    assert os.listdir("~") == ["s.csv"]  # noqa: PTH208
    shutil.rmtree(shop.folder / "~")


def test_a_terminal_that_lacks_some_signs_is_no_fault(shop, run, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        poor = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        patched.setattr(sys, "stdout", poor)
        assert run("score", "-c", "c.yaml", "--out", tmp_path / "東京.csv").code == 0
        poor.flush()
        assert b"\\u6771\\u4eac.csv" in poor.buffer.getvalue()


def test_no_terminal_at_all_is_no_fault(shop, run, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", None)
        assert run("score", "-c", "c.yaml", "--out", tmp_path / "s.csv").code == 0


def test_the_table_never_overwrites_what_it_was_read_from(shop, run):
    before = Path("data.csv").read_bytes()
    said = run("score", "-c", "c.yaml", "--out", "data.csv")
    assert Path("data.csv").read_bytes() == before
    assert said.code == 2
    said = run("features", "-c", "c.yaml", "--cutoff", "2025-06-01", "--out", "data.csv")
    assert Path("data.csv").read_bytes() == before
    assert said.code == 2


def test_a_list_is_not_overwritten_by_its_scores(shop, run, tmp_path):
    asked = tmp_path / "list.csv"
    asked.write_text("customer_id\n007\n")
    said = run("score", "-c", "c.yaml", "--customers", asked, "--out", asked)
    assert said.code == 2
    assert asked.read_text() == "customer_id\n007\n"
    again = tmp_path / "s.unknown.csv"  # the ids of an earlier run, mended
    again.write_text("customer_id\n007\n")
    said = run("score", "-c", "c.yaml", "--customers", again, "--out", tmp_path / "s.csv")
    assert said.code == 2
    assert again.read_text() == "customer_id\n007\n"


class TestTraining:
    """Where training cannot write."""

    @pytest.fixture
    def project(self, ready, lay_out, make_log, config_text):
        return lay_out(ready, make_log(200, days=200), config_text)

    @pytest.mark.parametrize("place", ["out", "mlruns"])
    def test_a_file_where_a_folder_should_stand(self, project, run, place):
        shutil.rmtree(place, ignore_errors=True)
        Path(place).write_text("mine")
        said = run("train", "-c", "c.yaml")
        assert said.code == 1
        assert place in said.err
        assert 'File "' not in said.err
        assert Path(place).read_text() == "mine"

    def test_a_full_disk(self, project, run, files_below):
        Path("out/shop").mkdir(parents=True)
        Path("out/shop/metrics.json").write_text("old")
        with largest_file(100_000):
            said = run("train", "-c", "c.yaml")
        assert said.code in (1, 4)
        assert "Traceback" not in said.err
        assert files_below("out") == {"out/shop/metrics.json": b"old"}
