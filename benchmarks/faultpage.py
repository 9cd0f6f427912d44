"""The page that the experiments write: a table, and why it is so."""

from __future__ import annotations

from collections.abc import Sequence

from faultlab import Told

__all__ = ["page"]


def page(told: Sequence[Told]) -> str:
    """The table, with what a reader must know of it."""
    rows = [f"| {one.did} | {one.happened} | {one.lost or 'nothing'} | {result(one)} |" for one in told]
    return TEXT.replace("TABLE", "\n".join(rows))


def result(one: Told) -> str:
    """What became of the joint result."""
    if one.off is None:
        return "none, as was wished"
    whose = "all four sites" if len(one.roster) == 4 else ", ".join(one.roster)
    bytes_ = {True: "; the same bytes", False: "; OTHER BYTES", None: ""}[one.same]
    return f"{whose}: {one.off:.0e} off{bytes_}"


TEXT = """# What survives: faults, tried

> Networks lose and repeat, machines stop at any line, disks run full, people change their minds. A joint result must then be that
> of the sites it names, or none.

Everything in this table was done to real programs: a hub with its own NATS server, four sites with a worker each, TLS, keys,
signed ledgers, on one machine; `make faults` does it all again and writes this page. The study is four logistic regressions one
after the other, some forty rounds. *In a round* means: one site was held before its answer, the fault was made while the hub
waited for it, and the site was let go of.

- **Lost**: whether the study came to its end, whether every ledger (the hub's and each site's) still verifies from the first
  entry to the last, and whether the hub's store says what its ledger says.
- **Joint result**: whose rows the result reports; how far coefficients and their covariance are from a fit of the pooled rows of
  exactly those sites (largest difference, relative to the largest number; 1e-8 is allowed; 1e-11 is rounding); and whether it is,
  byte for byte, the result of a run that nothing disturbed.

| what was done | what happened | lost | joint result |
|---|---|---|---|
TABLE

## Why

- Nothing that is on its way counts. A request is repeated until it is answered, whoever answers keeps its last answers and gives
  the same one again, and a reply that nobody waits for any more is dropped: so lost, doubled, late and reordered messages are one
  case.
- The hub keeps each total before it asks the next question, and each step of [a study's life](study-life.md) before it acts on
  it. A hub that comes back asks the round anew that was open. Sums are added in the order of the roster, so the bytes are the
  same.
- A round that is asked again has its number again; a site that had answered it gives the same answer.
- An exact method keeps its roster: a site that is lost means that the analysis begins anew without it, and the result says so (or
  that it waits, with [`on_loss = "wait"`](../reference/study-file.md#participants)).
- A hub whose disk is full asks nothing more, says so to its operator and tries again after 1 s, then at doubling intervals up to
  a minute.
- Whoever is shut out, has withdrawn, or belongs to a study that was cancelled is not waited for, however long the deadline is.
- No decision about a study rests on a site's clock. By the hub's clock suggestions expire and studies start.

## What is not shown here

Loss of power, for which the programs wait until the disk confirms ([ledger](ledger.md)); a disk that lies; a hub whose folder is
lost: keep a copy of it, the private keys among it. Two sites that stop at once are two lost sites; fewer than the quorum end the
study.
"""
