"""What is asked: a file becomes a suite, a suite becomes trials with keys and seeds.

suite     a suite as data
yaml      YAML with a memory of the places in the file
reading   from a file to a suite
faults    what is wrong with a file, in people's words
schema    the JSON schema of a suite
trials    trials, anchors, and every artifact by its key
planner   from a suite to its plan
seeds     where random numbers come from
devices   where networks run, resolved
session   plan, registry and workspace together
"""
