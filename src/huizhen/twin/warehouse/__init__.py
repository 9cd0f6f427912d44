"""What the twin knows of a federation, and since when: statements of entities by valid and transaction time, and telemetry.

`statements`, `kinds`, `mirroring`, `mirrorfile`, `readings`, `metrics` and `quality` are rules; `store` and `telemetry` hold the disk.
"""
