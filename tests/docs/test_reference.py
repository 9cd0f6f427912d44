"""The reference is whole: what the program knows is collected from the program, and looked for in the book."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import tomllib

import pytest
import typer

from huizhen import errors, extension
from huizhen.cli.app import EXITS
from huizhen.cli.app import commands as put_together
from huizhen.cli.policies import read_policy
from huizhen.data import cohort
from huizhen.data.condition import OPERATORS
from huizhen.data.deidentify.hierarchy import goal_of
from huizhen.data.deidentify.profile import OPTIONS, profile_of
from huizhen.data.deidentify.rules import RULES, plan_of
from huizhen.data.grammar import WORDS
from huizhen.embedded.findings import Finding
from huizhen.federation.noise import NoiseSection
from huizhen.federation.sections import SECTIONS, VariableSection
from huizhen.federation.study import METHODS, Study
from huizhen.methods.design import formula
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.privacy.result import CellTable, Result, Table

NAMES = extension.installed(METHODS)


def default_of(field):
    return None if field.is_required() else field.get_default(call_default_factory=True)


def shown(fields, as_written):
    return {name: "*required*" if field.is_required() else as_written(default_of(field)) for name, field in fields.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_of_every_method_is_in_its_page_with_its_default(name, book, as_written):
    fields = extension.load(METHODS, name).spec.model_fields
    settings = book.page(f"docs/reference/methods/{name}.md").table("Settings")
    assert settings == shown(fields, as_written)


@pytest.mark.parametrize("name", NAMES)
def test_every_step_of_every_method_is_in_its_page_or_where_shared_steps_are_explained(name, book):
    pages = [f"docs/reference/{page}.md" for page in (f"methods/{name}", "formulas", "methods")]
    text = "".join(book.page(page).text for page in pages)
    missing = [step for step in extension.load(METHODS, name).steps if f"`{step}`" not in text]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_every_method_is_in_the_list_of_methods_and_says_what_it_equals(name, book):
    assert f"[`{name}`](methods/{name}.md)" in book.page("docs/reference/methods.md").text
    for title in ("Definitions" if name != "quantile" else "Definition", "What leaves a site", "Result", "Equals"):
        assert book.page(f"docs/reference/methods/{name}.md").section(title).strip()


def test_the_reference_names_no_method_that_is_not_installed(book):
    pages = {page.path.stem for page in book.pages if page.path.parent.name == "methods"}
    assert pages == set(NAMES)


def test_every_clause_of_the_policy_is_in_the_reference_with_its_default(book, as_written):
    clauses = book.page("docs/reference/policy.md").table("Clauses")
    assert clauses == shown(DisclosurePolicy.model_fields, as_written)


def test_every_clause_by_which_a_policy_refuses_is_in_the_reference(book):
    named = set(book.page("docs/reference/policy.md").table("Judged at release, at each site"))
    stated = {clause.strip("`") for cell in named for clause in cell.split(", ")}
    trees = [ast.parse(path.read_text()) for path in (book.root / "src/huizhen/policy").glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    refusals = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "refuse"]
    clauses = {call.args[0].value for call in refusals if isinstance(call.args[0], ast.Constant)}
    assert len(clauses) > 8
    assert clauses <= stated


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_of_the_study_file_is_in_the_reference_with_its_default(name, book, as_written):
    fields = SECTIONS[name].model_fields
    keys = book.page("docs/reference/study-file.md").table(f"`[{name}]`")
    assert keys == shown(fields, as_written)


def test_every_key_of_the_noise_is_in_the_reference_with_its_default(book, as_written):
    keys = book.page("docs/reference/study-file.md").table("`[protection.noise]`")
    assert keys == shown(NoiseSection.model_fields, as_written)


def test_every_key_of_a_variable_is_in_the_reference(book, as_written):
    keys = book.page("docs/reference/study-file.md").table("`[variables.NAME]`")
    fields = VariableSection.model_fields
    assert list(keys) == list(fields)
    stated = {key: text for key, text in keys.items() if default_of(fields[key]) is not None}
    assert stated == {key: as_written(default_of(fields[key])) for key in stated}


def commands(command, words: tuple[str, ...] = ()):
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


COMMANDS = [(words, command) for words, command in commands(typer.main.get_command(put_together())) if not words or command.params]


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) or "huizhen" for words, _ in COMMANDS])
def test_every_command_and_option_is_in_the_reference(words, command, book):
    page = book.page("docs/reference/command-line.md")
    start = " ".join(("huizhen", *words))
    title = next(title for _, title in page.headings if re.fullmatch(rf"`{start}( [A-Z\[].*)?`", title))
    options = {option for param in command.params for option in (*param.opts, *param.secondary_opts) if option.startswith("--")}
    named = set(re.findall(r"^\| `(--[a-z-]+)`", page.section(title), re.M))
    assert named == options - {"--help"}


def test_every_command_without_options_is_in_the_reference_too(book):
    page = book.page("docs/reference/command-line.md")
    for words, command in commands(typer.main.get_command(put_together())):
        assert f"`{' '.join(('huizhen', *words))}" in page.text, command.name


def test_every_error_and_its_exit_code_is_in_the_reference(book):
    page = book.page("docs/reference/errors.md")
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.HuizhenError)]
    assert set(page.table("Errors and exit codes")) == {kind.__name__ for kind in kinds}
    codes = page.table("Exit codes of the command line")
    for kind, code in EXITS:
        assert f"`{kind.__name__}`" in codes[str(code)]


def test_every_field_of_a_result_and_every_habit_of_a_finding_is_in_the_reference(book):
    page = book.page("docs/reference/result.md")
    assert set(page.table("The result")) == {field.name for field in dataclasses.fields(Result)}
    for kind in (Table, CellTable):
        assert [field.name for field in dataclasses.fields(kind) if f"`{field.name}`" not in page.text] == []
    fields = {field.name for field in dataclasses.fields(Finding)} | {"label", "result"}
    habits = [name for name in vars(Finding) if not name.startswith("_") and name not in fields]
    assert [name for name in habits if f"`.{name}" not in page.text] == []


def test_every_operator_and_word_of_a_condition_is_in_the_reference(book):
    text = book.page("docs/reference/conditions.md").text
    assert [
        sign for sign in (*OPERATORS, *WORDS) if f"`{sign}" not in text and f"| `{sign}" not in text and f" {sign} " not in text
    ] == []


def test_every_function_of_a_formula_and_its_options_are_in_the_reference(book):
    text = book.page("docs/reference/formulas.md").text
    assert [name for name in (*formula.OPTIONS, "I") if f"`{name}(" not in text] == []
    named = {option for options in formula.OPTIONS.values() for option in options} - {"df", "exponent"}
    assert [option for option in named if f"{option}=" not in text] == []


def test_every_condition_in_the_book_can_be_read(book):
    texts = [line for _, block in book.marked("conditions") for line in block.code.splitlines() if line]
    assert len(texts) > 10
    for text in texts:
        assert cohort.parse(cohort.unparse(cohort.parse(text))) == cohort.parse(text)


def test_every_formula_in_the_book_can_be_read(book):
    texts = [line for _, block in book.marked("formulas") for line in block.code.splitlines() if line]
    assert len(texts) > 5
    for text in texts:
        assert formula.parse(text).terms


def test_every_complete_study_in_the_book_is_valid_and_there_is_one_for_each_method(book):
    studies = [(page, Study.parse(tomllib.loads(block.code))) for page, block in book.marked("complete study")]
    assert {analysis.method.name for _, study in studies for analysis in study.analyses} == set(NAMES)


def test_every_complete_policy_in_the_book_is_valid_and_the_first_is_the_default(book, tmp_path):
    read = []
    for place, (_, block) in enumerate(book.marked("complete policy")):
        path = tmp_path / f"{place}.toml"
        path.write_text(block.code)
        read.append(read_policy(path))
    assert DisclosurePolicy() in read
    assert len(read) > 1


def test_the_rules_for_deidentification_in_the_book_are_valid_and_use_every_rule(book):
    ((_, block),) = book.marked("complete rules of de-identification")
    content = tomllib.loads(block.code)
    assert {rule.kind for rule in plan_of(content).rules.values()} == set(RULES)
    assert profile_of(content).options
    assert goal_of(content).k == 5
    page = book.page("docs/explanation/deidentification.md").text
    assert [option for option in OPTIONS if f"`{option}`" not in page] == []


def test_every_key_of_the_template_of_a_study_is_one_that_the_reference_explains(book):
    template = tomllib.loads((book.root / "src/huizhen/cli/study_template.toml").read_text())
    page = book.page("docs/reference/study-file.md")
    for name in set(template) & set(SECTIONS):
        assert set(template[name]) <= set(page.table(f"`[{name}]`"))


def test_the_group_of_entry_points_is_named_where_a_method_is_added(book):
    assert METHODS in book.page("docs/how-to/add-a-method.md").text
