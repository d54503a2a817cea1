"""Neural simulators of growth: what CGNE, PNS and a third party's network share.

schedules, params   what a suite can set; neither imports torch
layers              residual blocks and perceptrons
conditioning        the parameters of a trajectory as inputs of a network
frames              states made from growth maps on the device
gaussian            diagonal Gaussians: samples, densities, KL, free bits
likelihood          the growth likelihood and its importance-weighted bounds
model               what a network must be able to do; latent-variable models in four methods
rollouts            trajectories drawn from a network
training            the one training loop; averaging, checkpoint, randomness and weights serve it
simulator           the base class that makes a network a simulator
"""
