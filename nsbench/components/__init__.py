"""The things that plugins provide, and the data that passes between them and the runner.

component   the base class of datasets, simulators, metrics and formats, and their specs
dataset     sources of trajectories
simulator   models that draw the next state
wrapper     simulators that are made of fits of another one
metric      numbers that say how good a simulator is
format      layouts of trajectories in files
sampling    parameters that a fit does not read
protocol    the rules by which every simulator of a suite is run
intervals   95 % intervals from few independent units
evidence    the rollouts, likelihoods and costs that the simulate stage leaves for metrics
events      the events of a run
rows        rows of results: the outcome of a trial, and its scores
contracts/  checks of what components return
"""
