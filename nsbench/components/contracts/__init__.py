"""What components must return, checked where it is returned.

broken      the error that says what was breached
dataset     trajectories of a split
simulator   rollouts, likelihoods, sizes, costs
metric      scores
"""
