"""What protecting a sum costs: 1,000,000 float32 weights of 5 sites, in the clear, masked, and by others, in one run.

Processor milliseconds (median of the rounds) and bytes. A masked round is the whole of it: coding, masks, signatures, shares, at
the site all stages together; the keys of an epoch are spread over its rounds. Packed Paillier is measured by `bench_paillier.py`.

Others are measured where they are installed: HUIZHEN_PEERS names the Python of an environment with `flwr` and `tenseal`. Of Flower
the functions that its SecAgg+ client and server call for these weights (defaults: 2^22 levels, 2^32 as modulus), keys and shares
left out; of TenSEAL a CKKS sum of 8,192 slots, 40 bits of scale.

Bars: masked site 3.5 ms, hub 3.5 times a plain sum, upload 0.51 of float32's.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import time
from typing import Any

import numpy as np
import pytest

from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.masked.epoch import ROUNDS
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.rounds import Answered, Ask
from huizhen.federation.scheme import SiteSide
from huizhen.ledger.keys import new_key
from huizhen.privacy.masking import short
from huizhen.privacy.release import Answer, Part, Question

WEIGHTS, SITES, REPEATS = 1_000_000, 5, 21
ROSTER = tuple(f"site-{place}" for place in range(SITES))

PEERS = """
import json, secrets, statistics, time
import numpy as np

WEIGHTS, SITES = {weights}, {sites}
weights = [np.random.default_rng(site).normal(0, 0.01, WEIGHTS).astype(np.float32) for site in range(SITES)]

def milliseconds(act, repeats):
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        act()
        spent.append((time.process_time() - start) * 1000)
    return statistics.median(spent)

found = {{}}
try:
    from flwr.common import ndarray_to_bytes
    from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_mod, parameters_subtraction
    from flwr.common.secure_aggregation.quantization import dequantize, quantize
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
    seeds, shape, modulus = [secrets.token_bytes(32) for _ in range(SITES)], [(WEIGHTS,)], 1 << 32
    sent = []

    def site():
        vector = parameters_addition(quantize([weights[0]], 8.0, 1 << 22), pseudo_rand_gen(seeds[0], modulus, shape))
        for place, seed in enumerate(seeds[1:]):
            act = parameters_addition if place % 2 else parameters_subtraction
            vector = act(vector, pseudo_rand_gen(seed, modulus, shape))
        sent[:] = [ndarray_to_bytes(each) for each in parameters_mod(vector, modulus)]

    masked = [np.random.default_rng(place).integers(0, modulus, WEIGHTS) for place in range(SITES)]

    def hub():
        total = [masked[0].copy()]
        for each in masked[1:]:
            total = parameters_addition(total, [each])
        total = parameters_mod(total, modulus)
        for seed in seeds:
            total = parameters_subtraction(total, pseudo_rand_gen(seed, modulus, shape))
        dequantize(parameters_mod(total, modulus), 8.0, 1 << 22)

    found["Flower SecAgg+"] = [milliseconds(site, 5), milliseconds(hub, 5), sum(map(len, sent))]
except ImportError:
    pass
try:
    import tenseal as ts
    context = ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=16384, coeff_mod_bit_sizes=[60, 40, 60])
    context.global_scale = 2**40
    slots = 8192
    pieces = [weights[0][start : start + slots].tolist() for start in range(0, WEIGHTS, slots)]
    each = []

    def encrypt():
        each[:] = [ts.ckks_vector(context, piece) for piece in pieces]
        each[:] = [vector.serialize() for vector in each]

    site = milliseconds(encrypt, 1)
    vectors = [ts.ckks_vector_from(context, one) for one in each]

    def add():
        for vector in vectors:
            total = vector
            for _ in range(SITES - 1):
                total = total + vector
            total.decrypt()

    found["CKKS (TenSEAL)"] = [site, milliseconds(add, 1), sum(map(len, each))]
except ImportError:
    pass
print(json.dumps(found))
"""


class Round:
    """Sites and a hub in this process; `play` gives milliseconds of a site and of the hub, and the bytes of a site's numbers."""

    def __init__(self) -> None:
        keys = {site: new_key() for site in ROSTER}
        peers = {site: key.public for site, key in keys.items()}
        entropy = secrets.token_bytes
        self.sites = {site: MaskedSum(entropy, SiteIdentity(key, peers, entropy)) for site, key in keys.items()}
        self.hub = MaskedSum(entropy).at_hub(ROSTER)
        self.kept: dict[str, dict[str, Any]] = {site: {} for site in ROSTER}
        self.weights = [np.random.default_rng(place).normal(0, 0.01, WEIGHTS).astype(np.float32) for place in range(SITES)]
        self.number = 0

    def play(self, silent: str = "") -> tuple[float, float, int]:
        site_s = hub_s = 0.0
        size, boxes, present, self.number = 0, [], ROSTER, self.number + 1
        for stage in self.hub.stages("train"):
            present = tuple(site for site in present if stage != "mask" or site != silent)
            start = time.process_time()
            notice = self.hub.notice(stage)
            hub_s += time.process_time() - start
            asks = {site: self._ask(site, stage, notice, boxes) for site in present}
            sides = {site: self._side(site) for site in present}
            start = time.process_time()  # of all sites together: a look at the clock costs something here
            turns = {site: self.sites[site].at_site(asks[site], sides[site]) for site in present}
            site_s += (time.process_time() - start) / len(present)
            replies = {site: Answered(None, turn.boxes, turn.packet) for site, turn in turns.items()}
            boxes = [box for turn in turns.values() for box in turn.boxes]
            if stage == "mask":
                words = replies[present[0]].packet["words"]
                size = sum(array.nbytes for kind in ("short", "sizes") for array in words[kind].values())
            start = time.process_time()
            assert not self.hub.take(stage, replies.items())
            hub_s += time.process_time() - start
        start = time.process_time()
        total = self.hub.summed().total
        hub_s += time.process_time() - start
        exact = sum(each for each, site in zip(self.weights, ROSTER) if site in total.roster)
        assert np.abs(total.sums["change"] - exact).max() < 1e-3
        return site_s * 1000, hub_s * 1000, size

    def _ask(self, site: str, stage: str, notice: Any, boxes: list[Any]) -> Ask:
        mine = tuple(box for box in boxes if box.receiver == site)
        return Ask("study", "run", "m", self.number, stage, Question("m", "train"), ROSTER, "masked", "s", mine, notice)

    def _side(self, site: str) -> SiteSide:
        answer = Answer({"change": Part(self.weights[ROSTER.index(site)], 100)}, 100)
        return SiteSide(site, False, lambda: answer, lambda _: None, self.kept[site], {})


def plain(weights: list[np.ndarray]) -> float:
    """Milliseconds of adding them up."""
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(10):
            total = weights[0].copy()
            for each in weights[1:]:
                total += each
        spent.append((time.process_time() - start) * 100)
    return statistics.median(spent)


def peers() -> dict[str, list[float]]:
    """What others take, where they are installed."""
    python = os.environ.get("HUIZHEN_PEERS")
    if not python:
        return {}
    program = PEERS.format(weights=WEIGHTS, sites=SITES)
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark(group="protection")
def test_a_masked_sum_of_a_million_weights(benchmark) -> None:
    game = Round()
    first = game.play()
    rounds = [game.play() for _ in range(REPEATS)]
    losses = []
    for _ in range(5):
        losses.append(game.play(silent="site-3"))
        game.play()  # a new epoch
    sum_ms = plain(game.weights)
    site, hub = (statistics.median(each[place] for each in rounds) for place in (0, 1))
    fresh = max(first[0] - site, 0) / ROUNDS
    size, whole = rounds[0][2], 4 * WEIGHTS
    dropped = statistics.median(each[1] for each in losses)
    print(f"\n{WEIGHTS:,} float32 weights, {SITES} sites, processor ms a round; load {os.getloadavg()[0]:.1f}:")
    print(f"  {'':28} {'site':>9} {'hub':>9} {'MB a site':>10}")
    print(f"  {'plain sum, float32':28} {0:9.2f} {sum_ms:9.2f} {whole / 1e6:10.2f}")
    print(f"  {'masked, 16 bits':28} {site:9.2f} {hub:9.2f} {size / 1e6:10.2f}")
    least_site, least_hub = (min(each[place] for each in rounds) for place in (0, 1))
    print(f"  {'  the quickest round':28} {least_site:9.2f} {least_hub:9.2f}")
    print(f"  {'  one site falls silent':28} {'':9} {dropped:9.2f}")
    print(f"  {'  first round (64 bits, keys)':28} {first[0]:9.2f} {first[1]:9.2f} {first[2] / 1e6:10.2f}")
    for name, (at_site, at_hub, sent) in peers().items():
        print(f"  {name:28} {at_site:9.2f} {at_hub:9.2f} {sent / 1e6:10.2f}")
    print(f"  masked: site {site:.2f} ms (bar 3.5), keys {fresh:.2f} ms a round more; hub {hub / sum_ms:.2f} plain sums (bar 3.5); "
          f"upload {size / whole:.3f} of float32 (bar 0.51); runs of {short.RUN}")  # fmt: skip
    benchmark.extra_info.update(site=site, hub=hub, plain=sum_ms, upload=size / whole)
    benchmark.pedantic(lambda: None, rounds=1)
