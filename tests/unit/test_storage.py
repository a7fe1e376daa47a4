"""A stored bundle comes back the same or not at all; a changed one is refused and never run."""

import dataclasses
import hashlib
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from tenure.errors import ModelError
from tenure.models.churn import CANDIDATES
from tenure.models.pareto import ParetoModel
from tenure.storage import library_warnings, load, save

FILES = [
    "calibrator.json",
    "churn.json",
    "clv.json",
    "manifest.json",
    "model.lgb",
    "schema.json",
    "shift.json",
]


@pytest.fixture
def folder(tmp_path, bundle):
    save(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("name", sorted(CANDIDATES))
def test_every_candidate_comes_back_with_the_same_scores(
    tmp_path, make_bundle, make_features, name
):
    bundle = make_bundle(name)
    save(bundle, tmp_path)
    matrix = make_features(bundle.schema, 50, seed=3)
    known = matrix["customer_id"]
    assert_frame_equal(
        load(tmp_path).score(matrix, known), bundle.score(matrix, known), check_exact=True
    )


def test_the_same_bundle_is_the_same_bytes(folder, tmp_path, bundle):
    save(bundle, tmp_path / "again")
    assert sorted(p.name for p in folder.iterdir()) == FILES
    for name in FILES:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_same_training_is_the_same_manifest(folder, tmp_path, make_bundle):
    save(make_bundle(), tmp_path / "again")
    sums = [json.loads((f / "manifest.json").read_text()) for f in (folder, tmp_path / "again")]
    assert sums[0] == sums[1]


def test_missing_values_and_missing_models_are_kept(tmp_path, make_bundle):
    plain = make_bundle("base_rate")
    usual = {**plain.usual, "recency": np.nan}
    bundle = dataclasses.replace(plain, timing=None, purchases=None, spend=None, usual=usual)
    save(bundle, tmp_path)
    back = load(tmp_path)
    assert back.timing is back.purchases is back.spend is None
    assert np.isnan(back.usual["recency"])


def test_every_family_of_purchase_models_comes_back(tmp_path, bundle, make_features):
    other = ParetoModel(0.6, 20.0, 0.5, 120.0, -10.0, "converged", 400, ("a note",))
    other = dataclasses.replace(bundle, purchases=other)
    save(other, tmp_path)
    assert load(tmp_path).purchases == other.purchases
    matrix = make_features(bundle.schema, 50, seed=3)
    scored = load(tmp_path).score(matrix, matrix["customer_id"])
    assert_frame_equal(scored, other.score(matrix, matrix["customer_id"]), check_exact=True)
    assert np.isfinite(scored[["clv_365d", "clv_365d_lower", "clv_365d_upper"]]).all(axis=None)


def _truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _emptied(path):
    path.write_bytes(b"")


def _flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _retyped(path):
    path.unlink()
    path.mkdir()


def _removed(path):
    path.unlink()


class Canary:
    """Runs when unpickled."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (str(self._path), "w")


def _pickled(path):
    path.write_bytes(pickle.dumps(Canary(path.parent.parent / "canary")))


HARMS = [_truncated, _emptied, _flipped, _retyped, _removed, _pickled]


def test_no_altered_file_is_read_and_the_process_survives(folder, tmp_path):
    """One process meets every harm to every file: LightGBM would abort it on a broken model."""
    cases = []
    for harm in HARMS:
        for name in FILES:
            case = tmp_path / f"{harm.__name__}-{name}"
            shutil.copytree(folder, case)
            harm(case / name)
            cases.append(case)
    extra = tmp_path / "extra"
    shutil.copytree(folder, extra)
    _pickled(extra / "python_model.pkl")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from tenure.errors import ModelError\nfrom tenure.storage import load\n"
        "for case in sys.argv[1:]:\n"
        "    try:\n        load(Path(case)); print('loaded', case)\n"
        "    except ModelError as fault:\n        assert fault.exit_code == 4\n"
        "print('alive')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, [*cases, extra])], capture_output=True, text=True
    )
    assert done.stdout == "alive\n", done.stdout + done.stderr
    assert done.returncode == 0
    assert not (tmp_path / "canary").exists()


def test_the_message_names_every_file_and_what_is_wrong(folder):
    _flipped(folder / "churn.json")
    _removed(folder / "clv.json")
    (folder / "stranger.py").write_text("print('hello')")
    with pytest.raises(ModelError) as caught:
        load(folder)
    said = str(caught.value)
    assert "churn.json: was altered." in said
    assert "clv.json: is missing." in said
    assert "stranger.py: is not in the manifest." in said
    assert "Nothing was scored" in said


@pytest.mark.parametrize(
    "manifest",
    ["[]", "{}", '{"sha256": []}', '{"sha256": {"../../x": "0"}}', "null", '{"sha256": 3}'],
)
def test_a_manifest_that_is_not_ours(folder, manifest):
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(ModelError):
        load(folder)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ModelError, match=r"manifest\.json is missing"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("schema.json", lambda s: s["schema"].pop("levels")),
        ("schema.json", lambda s: s.pop("trained_until")),
        ("schema.json", lambda s: s["churn"].update(kind="weather")),
        ("churn.json", lambda s: s.update(kind="oracle")),
        ("clv.json", lambda s: s["spend"].pop("q")),
        ("calibrator.json", lambda s: s.clear()),
    ],
)
def test_a_bundle_of_another_version_is_refused_in_words(folder, name, change):
    """Its checksums are right: it was written by other code."""
    stored = json.loads((folder / name).read_text())
    change(stored)
    (folder / name).write_text(json.dumps(stored))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"another version of tenure|is unknown"):
        load(folder)


def test_other_library_versions_are_named_with_both_numbers(folder, monkeypatch):
    assert library_warnings(folder) == []
    monkeypatch.setattr("tenure.storage.version", lambda name: "99.9")
    said = library_warnings(folder)
    assert len(said) == 3
    assert all("99.9" in s and "was trained with" in s for s in said)
