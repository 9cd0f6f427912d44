"""What a library says while a model is written is not for the terminal."""

from __future__ import annotations

import logging
import sys

import pytest

from huizhen.cli.terminal import quietly


def test_what_a_library_prints_and_logs_is_dropped_and_afterwards_heard_again(capsys, caplog):
    with quietly():
        print("exporting ...")
        print("a warning", file=sys.stderr)
        logging.getLogger("exporter").error("a remark")
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
    logging.getLogger("exporter").error("later")
    assert [record.message for record in caplog.records] == ["later"]


def test_an_error_within_is_not_dropped():
    with pytest.raises(ValueError, match="broken"), quietly():
        raise ValueError("broken")
    assert logging.root.manager.disable == logging.NOTSET
