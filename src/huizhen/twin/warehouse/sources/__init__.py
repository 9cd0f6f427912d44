"""Where telemetry comes from: one file for each format, pure, from text or bytes to points and to what could not be read.

Who gathers: `huizhen.twin.warehouse.intake` for files, the programs for their own machine.
"""
