"""A worker that crashes, hangs, eats the machine or talks nonsense fails one answer, tells nothing of the data, and is replaced."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys
import threading
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.clock import ManualClock
from huizhen.federation.participant import Participant
from huizhen.federation.replies import is_answer
from huizhen.federation.rounds import Ask, Failed
from huizhen.federation.scheme import PlainSum
from huizhen.federation.selection import scope_of
from huizhen.federation.study import Study
from huizhen.federation.workplace import Unanswered, draw_key
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.policy.gate import Gate
from huizhen.privacy.release import EMPTY, Answer, Part, Question, Variable
from huizhen.site.worker import launch, speech, started
from huizhen.site.worker.frames import Ended, Frame, encoded, receive, send
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.speech import Order

UNRULY = """
import os, resource, signal, socket, subprocess, sys, time
import numpy as np
from huizhen import extension
from huizhen.methods.method import Local, ScriptedMethod, Spec, Use
from huizhen.privacy.release import Answer, Part

class UnrulySpec(Spec):
    variable: str

def program(spec, terms):
    yield None

def echo(question, examples, local, rng):
    ages = examples.number("age")
    said = {"sum": np.array([ages.sum()]), "draw": rng.normal(size=3), "turn": np.array([float(local.kept.get("turn", 0))])}
    return said, Local({"turn": local.kept.get("turn", 0) + 1, "grip": np.arange(3000.0)})

def tried(*calls):
    for call in calls:
        try:
            call()
        except OSError as error:
            yield float(error.errno)
        else:
            yield 0.0

def network(question, examples, local, rng):
    address = ("127.0.0.1", question.facts["port"])
    code = "import socket\\ntry: socket.socket()\\nexcept OSError as error: raise SystemExit(error.errno)"
    by_another = subprocess.run([sys.executable, "-S", "-c", code]).returncode
    connect = lambda: socket.create_connection(address)
    found = [*tried(connect, lambda: socket.socket(socket.AF_UNIX), lambda: socket.socket(socket.AF_INET6)), float(by_another)]
    return {"errno": np.array(found)}, local

def around(question, examples, local, rng):
    names = sorted(os.environ)
    limits = [resource.getrlimit(which)[1] for which in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE, resource.RLIMIT_DATA)]
    loaded = float(any(name.startswith("huizhen.ledger") for name in sys.modules))
    print("environment:", *names)
    return {"limits": np.array(limits, float), "ledger": np.array([loaded])}, local

def raises(question, examples, local, rng):
    raise RuntimeError(f"the first patient is {examples.number('age')[0]}")

def flood(question, examples, local, rng):
    for _ in range(400):
        print("x" * 9999)
    sys.stderr.write("the last word\\n")
    return echo(question, examples, local, rng)

def memory(question, examples, local, rng):
    return {"sum": np.ones(2**33)}, local

def files(question, examples, local, rng):
    opened = [open(os.devnull) for _ in range(10_000)]
    return {"sum": np.ones(len(opened))}, local

def spin(question, examples, local, rng):
    while True:
        sum(range(10_000))

def hang(question, examples, local, rng):
    time.sleep(600)

def large_file(question, examples, local, rng):
    with open(question.facts["path"], "wb") as file:
        file.write(bytes(2**22))

def other_network(question, examples, local, rng):
    extension.load("huizhen.networks", question.facts["network"])
    return echo(question, examples, local, rng)

DEEDS = dict(echo=echo, network=network, around=around, raises=raises, flood=flood, memory=memory, files=files, spin=spin,
    hang=hang, large_file=large_file, other_network=other_network,
    kill=lambda *_: os.kill(os.getpid(), signal.SIGKILL), leave=lambda *_: os._exit(3),
    nan=lambda q, e, local, r: ({"sum": np.array([np.nan])}, local),
    text=lambda q, e, local, r: ({"sum": np.array(["a"])}, local),
    crowd=lambda q, e, local, r: ({"sum": np.ones(1)}, local))

def deed(name):
    def step(question, examples, local, rng):
        values, local = DEEDS[name](question, examples, local, rng)
        rows = examples.rows + (name == "crowd")
        return Answer({key: Part(value, rows) for key, value in values.items()}, rows), local
    return step

METHOD = ScriptedMethod("unruly", UnrulySpec, program, {name: deed(name) for name in DEEDS}, lambda spec: [Use("age", "number")])
"""
AGES = np.arange(40.0, 90.0)
LIMITS = Limits(memory=3 * 2**30, answer_s=30, open_s=60, files=64, file_bytes=2**20, frame=2**26, log=200_000)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with an installed package that offers the method `unruly`, and a site's table."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "unruly.py").write_text(UNRULY)
    about = folder / "unruly-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: unruly\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[huizhen.methods]\nunruly = unruly:METHOD\n")
    (folder / "rows.csv").write_text("age\n" + "\n".join(f"{age:g}" for age in AGES))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def study(here) -> Study:
    return Study.parse({"method": {"unruly": {"variable": "age"}}})


def order_of(study, here, **more) -> Order:
    order = Order("east", study.content, study.digest, str(here / "rows.csv"), {"age": Variable("number")}, ("unruly",), ("mlp",))
    return replace(order, **more)


@pytest.fixture(scope="module")
def worker(study, here, tmp_path_factory):
    """One worker for many misdeeds: after each it is the next one's."""
    made = WorkerProcess(order_of(study, here), limits=LIMITS, log=tmp_path_factory.mktemp("log") / "worker.log")
    made.start()
    yield made
    made.close()


def ask(worker, step="echo", kept=EMPTY, turn=1, **facts):
    draw = draw_key(0, "east", "unruly", turn)
    return worker.answer("unruly", Question("unruly", step, facts, ("age",)), kept, draw=draw, course="c")


def failure(worker, step, **facts) -> Unanswered:
    with pytest.raises(Unanswered) as caught:
        ask(worker, step, **facts)
    assert str(AGES[0]) not in str(caught.value), "no patient's value"
    return caught.value


def said(worker, name="worker.log") -> bytes:
    return Path(worker._starting.log.with_name(name)).read_bytes()


def test_a_worker_answers_and_goes_on_from_what_it_keeps(worker):
    first = ask(worker)
    assert first.answer.parts["sum"].values == [AGES.sum()]
    assert first.elsewhere_s >= 0
    second = ask(worker, kept=first.kept)  # it holds that itself: nothing of it is sent again
    assert second.answer.parts["turn"].values == [1.0]
    again = ask(worker, kept=dict(first.kept))  # another object is sent, and says the same
    assert again.answer.parts["turn"].values == [1.0]
    fresh = ask(worker)
    assert fresh.answer.parts["turn"].values == [0.0]


def test_draws_are_those_of_the_agent_in_its_own_process(worker):
    key = np.frombuffer(draw_key(0, "east", "unruly", 5), "<u8")
    expected = np.random.Generator(np.random.Philox(key=key)).normal(size=3)
    assert np.array_equal(ask(worker, turn=5).answer.parts["draw"].values, expected)


@pytest.mark.parametrize(
    ("step", "code", "words"),
    [
        ("kill", "ended", "the worker was ended by SIGKILL"),
        ("leave", "ended", "ended in the middle of an answer"),
        ("memory", "memory", "ran out of memory"),
        ("files", "broke", "(OSError"),
        ("raises", "broke", "(RuntimeError"),
        ("large_file", "broke", "(OSError"),
        ("nan", "nonsense", "no answer to what it was asked"),
        ("text", "broke", "cannot be sent"),
        ("nothing of the kind", "broke", "KeyError"),
    ],
)
def test_a_misdeed_fails_its_own_answer_alone(worker, step, code, words, tmp_path):
    found = failure(worker, step, path=str(tmp_path / "large"))
    assert (found.code, words in str(found)) == (code, True), str(found)
    assert ask(worker).answer.parts["sum"].values == [AGES.sum()], "the next question is answered"


def test_a_worker_that_ends_while_nobody_asks_costs_no_answer(worker):
    worker.open()
    before = worker.pid
    os.kill(before, signal.SIGKILL)
    assert worker._running.child.ended(10) == -signal.SIGKILL
    assert ask(worker).answer.rows == len(AGES)
    assert worker.pid != before


def test_what_an_exception_says_stays_in_the_sites_own_log(worker):
    assert "40.0" not in str(failure(worker, "raises"))
    ask(worker, "flood")  # the log is read behind what the worker says
    failure(worker, "kill")
    assert worker.open() == len(AGES)
    assert b"the last word" in said(worker)
    assert stat.S_IMODE(worker._starting.log.stat().st_mode) == 0o600


def test_a_flood_of_words_fills_no_disk(worker):
    assert ask(worker, "flood").answer.rows == len(AGES)  # 4 MB
    failure(worker, "leave")  # all it said is written by now
    assert len(said(worker)) <= LIMITS.log
    assert len(said(worker, "worker.log.1")) <= LIMITS.log


def test_nothing_in_a_worker_reaches_a_network(worker):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ask(worker, "network", port=port).answer.parts["errno"].values.tolist() == [1.0] * 4  # EPERM
        server.settimeout(0.01)
        with pytest.raises(TimeoutError):
            server.accept()


def test_ranks_speak_with_each_other_and_with_nobody_else(another):
    """Their loop is one of their own: what listens on this machine's is not to be found there."""
    several = another(replace(LIMITS, ranks=2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        refused = ask(several, "network", port=server.getsockname()[1]).answer.parts["errno"].values
    assert refused.tolist() == [errno.ECONNREFUSED, errno.EPERM, 0, 0]  # 127.0.0.1, a UNIX socket, an IPv6 one, one by another


def test_a_worker_has_a_clean_environment_and_its_limits(worker, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HUB_TOKEN", "secret")
    failure(worker, "kill")
    around = ask(worker, "around").answer
    assert around.parts["limits"].values.tolist() == [0, 64, 3 * 2**30]
    assert around.parts["ledger"].values == [0], "keys and ledgers are not even loaded"
    failure(worker, "kill")
    names = said(worker).rpartition(b"environment:")[2].split(b"\n")[0].decode().split()
    ours = {
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "PYTHONNOUSERSITE",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUTF8",
        "PYTHONUNBUFFERED",
        "LC_CTYPE",
    }
    own = {name for name in names if not name.startswith(("KMP_", "OMP_"))}
    assert own <= {*launch.HANDED_ON, *ours}


def test_a_network_that_is_not_enabled_is_not_loaded_whatever_a_question_says(worker):
    assert ask(worker, "other_network", network="mlp").answer.rows == len(AGES)
    found = failure(worker, "other_network", network="unet")
    assert found.code == "refused"
    assert "a name that is not enabled here" in str(found)


def test_what_claims_more_rows_than_mustered_stays_at_the_site(worker, study):
    gate = Gate("east", DisclosurePolicy(), MemoryLedger(new_key()), ManualClock())
    site = Participant("east", study, worker, gate=gate, scheme=PlainSum())
    question = Question("unruly", "crowd", {}, ("age",))
    ask = Ask(
        study.digest, "r", "unruly", 2, "answer", question, ("east",), "plain", scope_of(study, study.analyses[0]), lineage="c"
    )
    reply = site.respond(ask)
    assert isinstance(reply, Failed)
    assert "claims more rows" in reply.reason
    told = site.respond(replace(ask, round=3, question=replace(question, step="raises")))
    assert isinstance(told, Failed)
    assert "RuntimeError" in told.reason
    assert "40.0" not in told.reason


@pytest.fixture
def another(study, here, tmp_path):
    """Makes workers with limits, or an order, of their own."""
    made: list[WorkerProcess] = []

    def make(limits=LIMITS, **order) -> WorkerProcess:
        made.append(WorkerProcess(order_of(study, here, **order), limits=limits, log=tmp_path / "another.log"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_worker_that_hangs_is_ended_at_the_sites_limit(another):
    hanging = another(replace(LIMITS, answer_s=0.3))
    hanging.open()
    before = hanging.pid
    found = failure(hanging, "hang")
    assert (found.code, "no answer within 0.3 s" in str(found)) == ("time", True)
    assert hanging.pid != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


def test_processor_time_is_limited_for_each_answer(another):
    spinning = another(replace(LIMITS, cpu_s=1))
    found = failure(spinning, "spin")
    assert (found.code, "more than 1 s of processor time" in str(found)) == ("processor", True)


def test_an_answer_that_is_too_large_is_not_taken(another):
    narrow = another(replace(LIMITS, frame=20_000))
    assert failure(narrow, "echo").code == "nonsense"  # what it keeps takes 24,000 bytes


def test_closing_ends_an_answer_that_is_under_way(another):
    asked = another()
    asked.open()
    found: list[Unanswered] = []
    waiting = threading.Thread(target=lambda: found.append(failure(asked, "hang")))
    waiting.start()
    pid = asked.pid
    asked.close()
    asked.close()
    waiting.join(10)
    assert [each.code for each in found] == ["closed"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert failure(asked, "echo").code == "closed"


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"methods": ("glm",)}, "a method that is not enabled here"),
        ({"digest": "0" * 64}, "another study than the site accepted"),
        ({"variables": {"height": Variable("number")}}, "no column 'height'"),
        ({"source": "/nowhere/rows.csv"}, "no such file"),
    ],
)
def test_a_worker_that_cannot_begin_says_why(another, order, words):
    unfit = another(**order)
    with pytest.raises(Unanswered) as caught:
        unfit.open()
    assert caught.value.code == "refused"
    assert words in str(caught.value)
    assert unfit.pid is None


def test_a_worker_ends_when_its_agent_is_gone(here):
    ours, theirs = socket.socketpair()
    place = '{"network": "none", "rank": 0, "meeting": ""}'
    child = launch.launch("huizhen.site.worker.program", [str(theirs.fileno()), place], hand_over=[theirs.fileno()])
    theirs.close()
    ours.close()
    try:
        assert child.ended(20) == 0
    finally:
        child.kill()
        child.close()


def test_what_is_no_frame_ends_the_worker_and_not_more(here):
    ours, theirs = socket.socketpair()
    place = '{"network": "none", "rank": 0, "meeting": ""}'
    child = launch.launch("huizhen.site.worker.program", [str(theirs.fileno()), place], hand_over=[theirs.fileno()])
    theirs.close()
    try:
        send(ours, Frame("muster", {"analysis": "unruly", "turn": 7}))  # nothing is open yet
        answer = receive(ours, most=2**20, left=lambda: 20.0)
        assert (answer.kind, answer.body["code"], answer.body["turn"]) == ("failed", "broke", 7)
        ours.sendall(b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n")
        assert child.ended(20) == 0
    finally:
        ours.close()
        assert child.kill() in (0, -signal.SIGKILL)
        child.close()


class Liar:
    """In place of a worker's process: says what it is told to, whatever it is asked."""

    def __init__(self, number: int, sayings: list[bytes]) -> None:
        self.pid, self.words = 0, os.open(os.devnull, os.O_RDONLY)
        self._line = socket.socket(fileno=os.dup(number))
        self._speaker = threading.Thread(target=self._speak, args=(sayings,))
        self._speaker.start()

    def _speak(self, sayings: list[bytes]) -> None:
        with self._line, suppress(Ended, OSError):
            for said in sayings:
                receive(self._line, most=2**24, left=lambda: 10.0)
                self._line.sendall(said)

    def ended(self, within_s: float = 0.0) -> int | None:
        return None

    def kill(self) -> int:
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._speaker.join(10)
        return 0

    def close(self) -> None:
        os.close(self.words)


def frame_of(kind: str, body: dict) -> bytes:
    return b"".join(encoded(Frame(kind, body)))


PARTS = [["sum", speech.answer_to(Answer({"sum": Part(np.arange(700.0), 50)}, 50))["parts"][0][1]]]
ANSWERED = {"turn": 2, "answer": {"rows": 50, "parts": PARTS}, "kept": {"grip": np.arange(900.0)}, "cpu_s": 0.5}
ODD = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just([]) | st.just({}) | st.just(np.arange(3.0))


def lies(data) -> bytes:
    """An answer with something in it replaced, or some of its bytes."""
    body = {**ANSWERED, data.draw(st.sampled_from([*ANSWERED, "more"])): data.draw(ODD)}
    if data.draw(st.booleans()):
        part = {**PARTS[0][1], data.draw(st.sampled_from([*PARTS[0][1], "more"])): data.draw(ODD)}
        body = {**ANSWERED, "answer": {"rows": 50, "parts": [["sum", part]]}}
    content = bytearray(frame_of(data.draw(st.sampled_from(["answered", "mustered", "failed"])), body))
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(content)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_a_worker_says_is_an_answer_or_fails_one(study, here, data):
    said = [frame_of("opened", {"rows": 50, "turn": 1}), lies(data)]
    made = WorkerProcess(order_of(study, here), limits=replace(LIMITS, answer_s=5), log=here / "liar.log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(started, "launch", lambda *_, hand_over: Liar(hand_over[0], said))
        with closing(made), suppress(Unanswered):
            assert is_answer(ask(made).answer)


def test_a_worker_that_speaks_the_truth_is_believed(study, here, monkeypatch):
    said = [frame_of("opened", {"rows": 50, "turn": 1}), frame_of("answered", ANSWERED)]
    monkeypatch.setattr(started, "launch", lambda *_, hand_over: Liar(hand_over[0], said))
    made = WorkerProcess(order_of(study, here), limits=LIMITS, log=here / "liar.log")
    worked = ask(made)
    made.close()
    assert (worked.answer.rows, worked.elsewhere_s, worked.answer.parts["sum"].values.sum()) == (50, 0.5, 699 * 350)


def test_an_agent_loads_no_tables_and_no_networks():
    code = "import sys, huizhen.site.worker.process; raise SystemExit(any(n in sys.modules for n in ('torch', 'pandas', 'duckdb')))"
    child = launch.Child(
        launch.Popen([sys.executable, "-c", code], stdout=launch.PIPE, env=launch.environment(), start_new_session=True)
    )
    try:
        assert child.ended(30) == 0
    finally:
        child.kill()
        child.close()
