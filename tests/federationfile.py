"""A small federation as its file says it, for stories of the warehouse."""

from __future__ import annotations

FILE = """
at = "2026-03-01T08:00:00Z"

[hub]
name = "hub"
device = "server"

[[router]]
name = "city"

[[device]]
name = "server"
kind = "cpu"
cores = 8
peak = "400 Gflop/s"
memory = "32 GiB"

[[device]]
name = "card"
kind = "gpu"
cores = 1
peak = { value = "60 Tflop/s", low = "50 Tflop/s", high = "65 Tflop/s", provenance = "measured", source = "calibration" }
memory_rate = "3 TB/s"
memory = "80 GB"
load = "10 %"

[[link]]
name = "backbone"
a = "hub"
b = "city"
there = "1 Gbit/s"
back = "1 Gbit/s"
rtt = "4 ms"

[[link]]
name = "to east"
a = "city"
b = "east"
there = "100 Mbit/s"
back = "50 Mbit/s"
rtt = { value = 30, unit = "ms", low = 20, high = 40, provenance = "measured", source = "iperf3", at = "2026-02-01T00:00:00Z" }
loss = "0.1 %"
shared = false

[[link]]
name = "to west"
a = "city"
b = "west"
there = "20 Mbit/s"
back = "20 Mbit/s"
rtt = "12 ms"
overhead = "60 B"

[[site]]
name = "east"
institution = "East Hospital"
device = "card"
rows = 1200

[[site]]
name = "west"
device = "server"
rows = "800 rows"
falls_silent = 0.1
"""
