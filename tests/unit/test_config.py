"""The config is read safely, checked as a whole, and every problem comes with its key path."""

import os
from pathlib import Path

import pytest

from tenure.config import Config, load_config, play_of
from tenure.config.playbook import PLAYBOOK
from tenure.errors import ConfigError, EnvironmentFault
from tenure.features.spec import FACTORS, ROLES

GOOD = "project: shop\ndata: {tables: {transactions: {path: data/orders.csv}}}\n"


def problem(tmp_path: Path, text: str) -> str:
    """Return the message with which a config is refused."""
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as fault:
        load_config(file)
    return str(fault.value)


def test_defaults_are_those_of_the_design(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(GOOD)
    config = load_config(file)
    assert (config.timezone, config.churn.horizon_days, config.churn.active_days) == ("UTC", 90, 90)
    assert (config.clv.horizon_days, config.clv.annual_discount_rate) == (365, 0.10)
    assert (config.cutoffs.every_days, config.model.seed) == (30, 7)
    assert config.out == Path("out/shop")
    costs = config.campaign
    assert (costs.contact_cost, costs.incentive, costs.accept_rate) == (1, 10, 0.3)
    assert (costs.stayers_take_rate, costs.capacity) == (1, None)


def test_whole_numbers_are_money_too(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(GOOD + "campaign: {contact_cost: 0, incentive: 5, accept_rate: 1}\n")
    costs = load_config(file).campaign
    assert (costs.contact_cost, costs.incentive, costs.accept_rate) == (0.0, 5.0, 1.0)


class TestPlaybook:
    def test_words_of_the_config_stand_before_the_defaults(self, tmp_path):
        file = tmp_path / "c.yaml"
        file.write_text(
            GOOD + "playbook:\n"
            "  delivery: {action: Call about the late order, owner: Logistics}\n"
            "  billing: {owner: null}\n  usage: {owner: Product}\n"
        )
        playbook = load_config(file).playbook
        said = {f: (play_of(f, playbook).action, play_of(f, playbook).owner) for f in FACTORS}
        assert said["delivery"] == ("Call about the late order", "Logistics")
        assert said["billing"] == ("Help with the payment that failed", None)
        assert said["usage"] == (None, "Product")
        assert said["responsiveness"][1] == "Support"

    def test_every_factor_has_a_default_and_circumstances_have_nobody(self):
        assert set(PLAYBOOK) == set(FACTORS)
        for factor, play in PLAYBOOK.items():
            assert (play.owner is None) == (ROLES[factor] == "circumstance"), factor
            assert play.owner in {None, "Support", "Delivery", "Product", "Marketing"}
            assert (play.action is not None) >= (ROLES[factor] == "cause"), factor

    def test_an_unknown_factor_is_named_with_the_nearest(self, tmp_path):
        said = problem(tmp_path, GOOD + "playbook: {delivry: {owner: Delivery}}\n")
        assert "playbook.delivry" in said
        assert "did you mean 'delivery'?" in said

    def test_an_unknown_key_is_named_with_the_nearest(self, tmp_path):
        said = problem(tmp_path, GOOD + "playbook: {delivery: {ownr: Delivery}}\n")
        assert "playbook.delivery.ownr: unknown key. Did you mean 'owner'?" in said

    @pytest.mark.parametrize("text", ["''", "'  '", "7", "x" * 201])
    def test_an_action_is_a_few_words(self, tmp_path, text):
        said = problem(tmp_path, GOOD + f"playbook: {{delivery: {{action: {text}}}}}\n")
        assert "playbook.delivery.action" in said


@pytest.mark.parametrize("config", sorted(Path("configs").glob("*.yaml")), ids=str)
def test_the_shipped_configs_are_valid(config):
    assert isinstance(load_config(config), Config)


class TestSafety:
    def test_objects_are_not_built(self, tmp_path):
        canary = tmp_path / "canary"
        for tag in ("!!python/object/apply:os.system", "!!python/object/new:os.system", "!x"):
            text = f"project: {tag} ['touch {canary}']\n"
            assert "could not determine a constructor" in problem(tmp_path, text)
        assert not canary.exists()

    def test_aliases_cannot_multiply(self, tmp_path):
        bomb = "a: &a [x, x]\n" + "".join(
            f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        assert "config line 2: aliases (*name) are not allowed" in problem(tmp_path, bomb)

    def test_merge_keys_are_aliases_too(self, tmp_path):
        assert "aliases" in problem(tmp_path, "a: &a {x: 1}\nb: {<<: *a}\n")

    def test_a_key_given_twice(self, tmp_path):
        text = GOOD + "churn: {horizon_days: 30, horizon_days: 60}\n"
        assert "config line 3: 'horizon_days' is given twice" in problem(tmp_path, text)

    @pytest.mark.parametrize(
        ("line", "path"),
        [
            ("churn: {horizon_days: yes}", "churn.horizon_days"),
            ("churn: {horizon_days: '90'}", "churn.horizon_days"),
            ("churn: {horizon_days: 90.5}", "churn.horizon_days"),
            ("churn: {horizon_days: true}", "churn.horizon_days"),
            ("churn: {horizon_days: 0}", "churn.horizon_days"),
            ("clv: {annual_discount_rate: 1e3}", "clv.annual_discount_rate"),
            ("clv: {annual_discount_rate: -1}", "clv.annual_discount_rate"),
            ("clv: {annual_discount_rate: .nan}", "clv.annual_discount_rate"),
            ("clv: {margin: .inf}", "clv.margin"),
            ("clv: {horizon_days: 0}", "clv.horizon_days"),
            ("campaign: {contact_cost: -1}", "campaign.contact_cost"),
            ("campaign: {contact_cost: .inf}", "campaign.contact_cost"),
            ("campaign: {incentive: .nan}", "campaign.incentive"),
            ("campaign: {incentive: '10'}", "campaign.incentive"),
            ("campaign: {accept_rate: 0}", "campaign.accept_rate"),
            ("campaign: {accept_rate: 30}", "campaign.accept_rate"),
            ("campaign: {accept_rate: true}", "campaign.accept_rate"),
            ("campaign: {stayers_take_rate: -0.1}", "campaign.stayers_take_rate"),
            ("campaign: {stayers_take_rate: 1.1}", "campaign.stayers_take_rate"),
            ("campaign: {capacity: 0}", "campaign.capacity"),
            ("campaign: {capacity: 2.5}", "campaign.capacity"),
            ("campaign: {quiet_days: 30}", "campaign.quiet_days: unknown key"),
            ("model: {seed: 1e3}", "model.seed"),
            ("currency: no", "currency"),
            ("currency: euro", "currency"),
            ("rates: {USD: 0}", "rates.USD"),
            ("rates: {USD: .nan}", "rates.USD"),
            ("timezone: Europe/Berln", "timezone"),
            ("cutoffs: {last: 2021-02-30}", "cutoffs.last"),
        ],
    )
    def test_words_and_numbers_are_not_bent(self, tmp_path, line, path):
        assert f"\n  {path}" in problem(tmp_path, GOOD + line + "\n")

    def test_endless_nesting(self, tmp_path):
        assert "nested too deeply" in problem(tmp_path, "a: " + "[" * 1500)

    @pytest.mark.parametrize(
        "address", ["https://x.org/a.csv", "s3://b/a.parquet", "file:///a.csv"]
    )
    def test_addresses_are_refused(self, tmp_path, address):
        text = GOOD.replace("data/orders.csv", address)
        message = problem(tmp_path, text)
        assert "data.tables.transactions" in message
        assert "only files on this machine are read" in message

    @pytest.mark.parametrize("name", ["../x", "/etc", "a b", "", "A", "x/y", ".."])
    def test_a_project_name_cannot_leave_its_folder(self, tmp_path, name):
        assert "project" in problem(tmp_path, GOOD.replace("shop", f"'{name}'"))


class TestMessages:
    def test_all_problems_come_at_once(self, tmp_path):
        text = "project: shop\nchurm: {}\nclv: {margin: 2}\ndata: {tables: {transactions: {}}}\n"
        message = problem(tmp_path, text)
        assert "3 problems" in message
        assert "churm: unknown key. Did you mean 'churn'?" in message
        assert "clv.margin: " in message
        assert "data.tables.transactions: give exactly one of" in message

    def test_a_nested_key_gets_the_nearest_of_its_section(self, tmp_path):
        message = problem(tmp_path, GOOD + "churn: {horizon: 30}\n")
        assert "churn.horizon: unknown key. Did you mean 'horizon_days'?" in message
        message = problem(tmp_path, GOOD.replace("path:", "paht:"))
        assert "data.tables.transactions.paht: unknown key. Did you mean 'path'?" in message

    def test_an_unknown_table(self, tmp_path):
        message = problem(tmp_path, GOOD.replace("transactions", "transaction"))
        assert "data.tables.transaction" in message

    def test_a_column_that_is_neither_name_nor_mapping(self, tmp_path):
        text = GOOD.replace("orders.csv", "orders.csv, columns: {kind: {colum: x}, ts: 3}")
        message = problem(tmp_path, text)
        assert "data.tables.transactions.columns.kind" in message
        assert "data.tables.transactions.columns.ts" in message

    def test_a_zone_gets_the_nearest(self, tmp_path):
        assert "Europe/Berlin" in problem(tmp_path, GOOD + "timezone: Europe/Berln\n")

    @pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "a: [1", "a: \t- b", "\0"])
    def test_what_is_no_mapping(self, tmp_path, text):
        assert "c.yaml" in problem(tmp_path, text)

    def test_files_that_cannot_be_read(self, tmp_path, monkeypatch):
        with pytest.raises(ConfigError, match=r"none\.yaml: no such config"):
            load_config(tmp_path / "none.yaml")
        with pytest.raises(EnvironmentFault, match="cannot be read"):
            load_config(tmp_path)
        (tmp_path / "latin.yaml").write_bytes("project: é".encode("latin-1"))
        with pytest.raises(ConfigError, match="not UTF-8"):
            load_config(tmp_path / "latin.yaml")


EVERY_KEY = """
project: shop
data:
  tables:
    transactions: {path: t.csv, columns: {kind: {column: type, map: {S: purchase, "1": refund}}}}
    surveys: {path: s.csv, scales: {csat: {low: 1, high: 10}, ces: {low: 1, high: 7, better: low}},
              response_days: 7, columns: {kind: {value: csat}}, observed_until: 2026-11-01}
    customers: {path: c.csv, columns: {label: {column: Churn, map: {Yes: 1, No: 0}}},
                attributes: {region: {known_from: signup_at}, size: {}}}
    treatments: {path: x.csv, columns: {treated: {value: true}}}
churn: {kind: inactivity, grace_days: 14, exclude_treated: true}
experience: {support_hours: {mon-fri: "09:00-17:00"}, bad_experience: [low_score]}
goals:
  - {name: NPS up, kpi: nps, change: 10, from: 2026-12-01, by: 2027-06-30, owner: Product}
milestones: [{on: 2026-03-01, name: New checkout}]
"""


class TestTables:
    """Keys of the tables beside transactions, and the sections about them."""

    def test_every_key_of_the_design(self, tmp_path):
        (tmp_path / "c.yaml").write_text(EVERY_KEY, encoding="utf-8")
        config = load_config(tmp_path / "c.yaml")
        tables = config.data.tables
        assert tables["customers"].columns["label"].map == {"Yes": 1, "No": 0}
        assert tables["surveys"].scales["ces"].better == "low"
        assert tables["treatments"].columns["treated"].value is True
        assert config.feature_settings == {
            "response_days": 7.0, "grace_days": 14.0, "counts_late_delivery": 0.0,
            "counts_slow_response": 0.0, "counts_low_score": 1.0,
        }  # fmt: skip
        assert config.goals[0].start < config.goals[0].by

    @pytest.mark.parametrize(
        ("name", "keys", "words"),
        [
            ("events", "scales: {csat: {low: 1, high: 5}}", "`scales` belongs to surveys"),
            ("events", "response_days: 3", "`response_days` belongs to surveys"),
            ("surveys", "attributes: all", "`attributes` belongs to customers"),
            ("surveys", "scales: {csat: {low: 5, high: 5}}", "`low` must be below `high`"),
            ("surveys", "scales: {cast: {low: 1, high: 5}}", "did you mean 'csat'"),
            ("surveys", "columns: {kind: {column: a, value: b}}", "give either `column` or"),
            ("customers", "attributes: {a: {known_form: x}}", "Did you mean 'known_from'"),
            ("customers", "attributes: most", "attributes"),
            ("event", "formats: {}", "did you mean 'events'"),
            ("events", "columns: {ts: {column: a, map: {1: 2}}}", "columns.ts"),
        ],
    )
    def test_what_is_out_of_place_is_told(self, tmp_path, name, keys, words):
        tables = f"transactions: {{path: t.csv}}, {name}: {{path: x.csv, {keys}}}"
        assert words in problem(tmp_path, f"project: shop\ndata: {{tables: {{{tables}}}}}\n")

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("churn: {kind: subscription}", "data.tables needs `subscriptions`"),
            ("churn: {kind: label}", "data.tables needs `customers`"),
            ("churn: {kind: lapsing}", "churn.kind"),
            ("experience: {bad_experience: [late]}", "known: late_delivery"),
            ("goals: [{name: a, kpi: nps, from: 2026-01-01}]", "give either `target` or `change`"),
            ("goals: [{name: a, kpi: nps, target: 1, from: 2026-02-01, by: 2026-01-01}]", "after"),
            ("milestones: [{on: 2026-02-30, name: x}]", "milestones.0.on"),
            ("milestones: [{no: 2026-02-03, name: x}]", "Known here: on, name"),
        ],
    )
    def test_the_other_sections(self, tmp_path, line, words):
        assert words in problem(tmp_path, GOOD + line + "\n")


def test_config_is_frozen(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(GOOD)
    config = load_config(file)
    with pytest.raises(ValueError, match="frozen"):
        config.project = os.sep
