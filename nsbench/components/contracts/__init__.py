"""The contracts of components: checks of what they return, made where it is returned.

numbers     numbers of any library as Python's own
broken      the error that names the breach
dataset     trajectories of a split
simulator   rollouts, likelihoods, sizes, costs
metric      scores
"""
