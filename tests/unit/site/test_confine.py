"""The filter of system calls: what it says for each machine, and that a process which cannot be confined does not start."""

from __future__ import annotations

import struct

import pytest

from huizhen.site.worker import confine, program

ALLOWED, EPERM, KILLED = 0x7FFF0000, 0x00050001, 0x80000000
X86, ARM = 0xC000003E, 0xC00000B7


def judged(machine: str, architecture: int, number: int, *, family: int = 2, families: tuple[int, ...] = ()) -> int:
    """What the kernel would do: the filter run by hand."""
    lines = list(struct.iter_unpack("<HBBI", confine.filter_of(machine, families)))
    seen, at, loaded = {0: number, 4: architecture, 16: family}, 0, 0
    while True:
        code, hit, miss, value = lines[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            loaded = seen[value]
        else:
            holds = loaded == value if code == 0x15 else loaded >= value
            at += hit if holds else miss


@pytest.mark.parametrize(
    ("machine", "architecture", "refused", "allowed"),
    [
        ("x86_64", X86, {"socket": 41, "ptrace": 101, "io_uring_setup": 425}, {"socketpair": 53, "read": 0, "execve": 59}),
        ("aarch64", ARM, {"socket": 198, "ptrace": 117, "pidfd_getfd": 438}, {"socketpair": 199, "read": 63, "execve": 221}),
    ],
)
def test_sockets_are_refused_and_work_goes_on(machine, architecture, refused, allowed):
    assert {judged(machine, architecture, number) for number in refused.values()} == {EPERM}
    assert {judged(machine, architecture, number) for number in allowed.values()} == {ALLOWED}


def test_on_the_loop_only_sockets_of_its_own_network_are_made():
    for machine, architecture, number in (("x86_64", X86, 41), ("aarch64", ARM, 198)):
        found = {family: judged(machine, architecture, number, family=family, families=(2, 10, 16)) for family in range(50)}
        assert {family for family, what in found.items() if what == ALLOWED} == {2, 10, 16}
        assert set(found.values()) == {ALLOWED, EPERM}
        assert judged(machine, architecture, 425, families=(2, 10, 16)) == EPERM


def test_calls_by_another_architectures_numbers_end_the_process():
    assert judged("x86_64", 0x40000003, 102) == KILLED  # i386, whose socketcall makes sockets too
    assert judged("x86_64", X86, 0x40000000 + 41) == KILLED  # x32
    assert judged("aarch64", X86, 41) == KILLED


def test_a_machine_whose_numbers_are_not_known_is_not_confined():
    with pytest.raises(confine.NotConfined, match="riscv64"):
        confine.filter_of("riscv64")


def test_a_worker_does_not_start_where_the_network_cannot_be_taken_away(monkeypatch, capsys):
    def refuse() -> None:
        raise confine.NotConfined("the kernel takes no filter of system calls (Function not implemented)")

    monkeypatch.setattr(program, "confine", refuse)
    assert program.main("3", '{"network": "none", "rank": 0, "meeting": "", "warm": []}') == program.UNCONFINED
    assert "the network cannot be taken away" in capsys.readouterr().err
