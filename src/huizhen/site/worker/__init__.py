"""A process of its own for a site's rows, with limits and without a network: whatever happens to it fails one answer.

process    the agent's side: `WorkerProcess`, a workplace
program    the worker's side, started as ``python -m huizhen.site.worker.program``
frames     what goes between them over a pair of sockets
"""
