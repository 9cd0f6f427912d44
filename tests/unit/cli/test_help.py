"""Help, mistakes and errors on the command line, in Chinese."""

import re

import pytest
import typer

from huizhen.cli.app import commands as put_together
from huizhen.cli.app import main
from huizhen.cli.help import columns_of, in_chinese, wrapped
from huizhen.translation import translate

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def commands(command, path=()):
    yield " ".join(path), command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


ENGLISH = dict(commands(typer.main.get_command(put_together())))


def said(monkeypatch, capsys, *arguments):
    """Exit code and what was printed, without line breaks."""
    monkeypatch.setattr("sys.argv", ["huizhen", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return ended.value.code, printed.out + printed.err


@pytest.mark.parametrize("path", ENGLISH)
def test_every_command_and_option_has_chinese_help(path):
    command = ENGLISH[path]
    for text in (command.help, *(parameter.help for parameter in command.params if getattr(parameter, "help", ""))):
        assert CHINESE.search(translate(text, "zh")), text
        assert not re.search(r"\b(the|of|and|is)\b", translate(text, "zh")), text


@pytest.mark.parametrize("path", ENGLISH)
def test_help_in_chinese_names_the_same_commands_and_options(path, monkeypatch, capsys):
    code, text = said(monkeypatch, capsys, "--lang", "zh", *path.split(), "--help")
    assert code == 0
    assert text.startswith("用法：")
    assert "显示本说明后退出" in text
    for parameter in ENGLISH[path].params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in text


def test_help_stays_english_for_an_english_reader(monkeypatch, capsys):
    monkeypatch.setenv("HUIZHEN_LANG", "en")
    code, text = said(monkeypatch, capsys, "--help")
    assert code == 0
    assert not CHINESE.search(text)


def test_the_language_may_come_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("HUIZHEN_LANG", "zh")
    assert "选项" in said(monkeypatch, capsys, "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runn"], "没有此命令 'runn'"),
        (["run", "--nope"], "没有此选项：--nope"),
        (["run"], "缺少参数 'STUDY'"),
    ],
)
def test_a_mistyped_command_is_told_in_chinese(arguments, expected, monkeypatch, capsys):
    code, text = said(monkeypatch, capsys, "--lang=zh", *arguments)
    assert code == 2
    assert expected in text


def test_an_error_of_a_room_is_told_in_chinese(tmp_path, monkeypatch, capsys):
    study = tmp_path / "study.toml"
    study.write_text('[study]\nquestion = "?"\ncolour = "red"\n', encoding="utf-8")
    code, text = said(monkeypatch, capsys, "--lang", "zh", "study", "check", str(study))
    assert code == 2
    assert "研究方案按现在的写法无法运行" in text
    assert "发现：未知的键" in text


def test_a_line_is_as_wide_as_a_screen_and_a_latin_word_is_whole():
    lines = list(wrapped("检查研究方案：一次列出全部错误 huizhen-out，逐一说明", 20))
    assert max(map(columns_of, lines)) <= 20
    assert any("huizhen-out，" in line for line in lines)
    assert "".join(lines).replace(" ", "") == "检查研究方案：一次列出全部错误huizhen-out，逐一说明"


def test_commands_below_are_translated_too():
    study = in_chinese(typer.main.get_command(put_together())).commands["study"]
    assert study.commands["new"].short_help == "新建带注释的研究方案；不覆盖已有文件"
