"""What plugins provide, and what they are told.

component   what datasets, simulators, metrics and formats have in common
dataset     where trajectories come from
simulator   models that draw the next state
metric      numbers that say how good a simulator is
format      layouts of trajectories in files
protocol    how every simulator of a suite is run
evidence    what the simulate stage leaves for metrics
events      what happens in a run
rows        what became of a trial, and its scores
contracts/  what components must return
"""
