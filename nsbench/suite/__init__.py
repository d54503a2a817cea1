"""Suites and their plans: a file becomes a suite, a suite becomes trials with keys and seeds.

suite      a suite as data
places     the places in files of a document's parts
yaml       YAML, with the place in the file of each value
grids      entries that stand for many simulators
tries      random combinations of a grid, drawn for tuning with the same effort
decodings  both decodings of a simulator, from one fit
reading    from a file to a suite
faults     the faults of a file, in plain words
schema     the JSON schema of a suite
trials     trials, anchors, and every artifact by its key
planner    from a suite to its plan
seeds      seeds and generators of random numbers
devices    device and precision of networks, resolved
session    plan, registry and workspace together
"""
