"""State spaces: what a network needs to know of the states that it draws, a file a kind.

facts    what of a domain a network depends on
space    the base class: how a state enters a network, and what a network's output means
growth   attached or not: Bernoulli sites
labels   one of K labels: categorical sites
fields   real numbers: Gaussian increments
relaxed  the next state as real numbers of unit scale, of all three kinds
choice   the state space of a domain
"""
