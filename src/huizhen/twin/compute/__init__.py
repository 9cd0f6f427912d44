"""What a study computes, counted from descriptions, and how long a device takes for it, learnt from micro-benchmarks.

Demand (`networks`, `formulas`), device (`calibration`, `pack`, `device`) and contention are apart: a count knows no device, and a
device's seconds know no neighbours.
"""
