"""What the twin knows of a federation, and since when: statements of entities by valid and transaction time, and telemetry.

`statements`, `kinds`, `mirroring`, `readings`, `metrics`, `quality` and `sources` are rules; `store` and `telemetry` hold the disk.
"""
