"""A site's configuration is read whole; what is wrong is said at once, before anything starts."""

import os
import tomllib
from importlib.resources import files

import pytest

from huizhen.errors import CallerError, MachineError, SiteError
from huizhen.ledger.keys import create_key
from huizhen.site.check import check_site
from huizhen.site.settings import Settings, parse_settings, read_settings, write_template


def test_the_template_is_a_valid_configuration_with_every_default_but_its_names(tmp_path):
    write_template(tmp_path / "site.toml")
    read = read_settings(tmp_path / "site.toml")
    bare = parse_settings({"site": {"name": "west-lake"}}, tmp_path)
    assert isinstance(read, Settings)
    assert (read.accept, read.enabled, read.limits, read.site) == (bare.accept, bare.enabled, bare.limits, bare.site)
    assert read.path_of("lung") == tmp_path / "lung.csv"
    assert (read.source, bare.source) == ("lung", "")


def test_the_template_names_every_key():
    template = tomllib.loads((files("huizhen.site") / "site_template.toml").read_text(encoding="utf-8"))
    from huizhen.site.settings import SECTIONS, SourceSection

    for name, model in SECTIONS.items():
        assert list(template[name]) == list(model.model_fields)
    assert list(template["source"]["lung"]) == list(SourceSection.model_fields)


def test_a_configuration_is_not_overwritten(tmp_path):
    write_template(tmp_path / "site.toml")
    with pytest.raises(CallerError, match="already"):
        write_template(tmp_path / "site.toml")
    with pytest.raises(MachineError):
        write_template(tmp_path / "nowhere" / "site.toml")


def test_all_mistakes_are_named_at_once(tmp_path):
    content = {
        "site": {"name": "../etc"},
        "source": {"bad name": {"path": "x"}, "good": {"paht": "x"}},
        "policy": {"min_rows": 0},
        "accept": {"source": "lung", "fitting": "always"},
        "limits": {"memory": "much", "wall": "soon"},
        "acept": {},
    }
    with pytest.raises(SiteError) as caught:
        parse_settings(content, tmp_path)
    where = {problem.where for problem in caught.value.problems}
    assert where >= {"site.name", "source", "source.good.paht", "policy.min_rows", "limits.memory", "limits.wall", "acept"}


def test_limits_are_read_with_their_units(tmp_path):
    limits = parse_settings({"site": {"name": "a"}, "limits": {"memory": "1.5 GB", "cpu": "2 min"}}, tmp_path).limits
    assert (limits.memory_bytes, limits.cpu_s, limits.wall_s) == (1_500_000_000, 120.0, 3600.0)


@pytest.mark.parametrize("text", ["site = [", "\xff", "a" * 1_000_001, "x = " + "[" * 20_000])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text):
    (tmp_path / "site.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SiteError, match="cannot be used"):
        read_settings(tmp_path / "site.toml")


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(MachineError, match="huizhen site new"):
        read_settings(tmp_path / "site.toml")


def test_check_says_everything_that_is_wrong_before_the_agent_starts(tmp_path):
    (tmp_path / "site.toml").write_text(
        '[site]\nname = "east"\n[source.lung]\npath = "lung.csv"\n[enabled]\nmethods = ["sumary"]\nnetworks = ["mlp"]\n'
    )
    create_key(tmp_path / "identity.pem")
    os.chmod(tmp_path / "identity.pem", 0o644)
    problems = check_site(tmp_path / "site.toml", [tmp_path / "identity.pem"])
    assert [problem.where for problem in problems] == [
        str(tmp_path / "identity.pem"),
        f"source.lung: {tmp_path / 'lung.csv'}",
        "enabled.methods",
    ]
    assert problems[2].remedy == "Did you mean summary?"


def test_check_finds_nothing_where_all_is_well(tmp_path):
    (tmp_path / "site.toml").write_text('[site]\nname = "east"\n[source.lung]\npath = "lung.csv"\n')
    (tmp_path / "lung.csv").write_text("age,died\n60,1\n61,0\n")
    create_key(tmp_path / "identity.pem")
    assert check_site(tmp_path / "site.toml", [tmp_path / "identity.pem"]) == ()
    (tmp_path / "site.toml").write_text("[site]\n")
    assert [problem.where for problem in check_site(tmp_path / "site.toml", [])] == ["site.name"]
