"""From what a study says of compression to the way in which its vectors are shrunk."""

from __future__ import annotations

from huizhen.errors import CallerError
from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.combining import Noise, keeps
from huizhen.privacy.compression.lowrank import LowRank
from huizhen.privacy.compression.quantised import Quantised
from huizhen.privacy.compression.shared import SharedSupport, usual
from huizhen.privacy.compression.shrinking import Compression
from huizhen.privacy.compression.spec import Compress
from huizhen.privacy.compression.top import TopK
from huizhen.privacy.compression.whole import Whole

__all__ = ["compression"]


def compression(spec: Compress, blocks: Blocks, *, addends: int = 1, run: int = 1, noise: Noise = "none") -> Quantised:
    """How vectors of `blocks` are shrunk and rounded.

    Args:
        spec: what the study says; checked by `combining.conflicts` beforehand.
        addends: sites whose levels are added within the bits of one (a masked sum); 1 where a sum has room of its own.
        run: neighbouring entries that top-k takes together: under Paillier as many as a ciphertext holds, otherwise 1.
        noise: under which nothing is kept, ranges are fixed: to the norm that values are clipped to.

    Raises:
        CallerError: ``none``, for which nothing is shrunk.
    """
    if spec.kind == "none":
        raise CallerError("without compression nothing is shrunk: send the values as they are")
    inner: Compression = Whole(blocks)
    if spec.kind == "shared":
        inner = SharedSupport(blocks, spec.period, usual(spec.period))
    elif spec.kind == "top_k":
        inner = TopK(blocks, spec.share, run)
    elif spec.kind == "low_rank":
        inner = LowRank(blocks, spec.rank)
    return Quantised(inner, spec.bits, addends, "told" if keeps(spec, noise) else "fixed")
